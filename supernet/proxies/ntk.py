"""Neural tangent kernels of clean and attacked images: exact, in bounded memory; and sketched.

M images, K classes, P parameters. A kernel's entry is <grad_W f(x_i), grad_W f(x_j)>.

Batch norm: per-sample gradients exist only where images do not change each other's output. The
kernels are therefore taken in eval mode, with batch norm held at the batch statistics of the clean
images at initialisation (`supernet.proxies.common.calibrate`); attacked images meet the same ones.

Source: Jacot et al. 2018, arXiv:1806.07572; robust kernels: Wu et al. 2024, arXiv:2403.13134.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.overrides import TorchFunctionMode

from supernet.attacks import ATTACKS
from supernet.proxies.common import calibrate, scratch

OUTPUTS = ("sum", "trace")
EPS = 8 / 255
MEMORY_LIMIT = 1 << 30


@dataclass(frozen=True)
class Kernels:
    """The kernels of images x, their attacked versions A(x), and A(A(x)); all (M, M), float64."""

    clean: Tensor
    """K(i, j) = k(x_i, x_j)."""
    robust: Tensor
    """K~(i, j) = k(A(x_i), A(x_j))."""
    cross: Tensor
    """K-(i, j) = k(x_i, A(x_j)); not symmetric."""
    twice: Tensor
    """K~2(i, j) = k(A(A(x_i)), A(A(x_j)))."""
    cross_twice: Tensor
    """K-2(i, j) = k(A(x_i), A(A(x_j))); not symmetric."""

    def k_all(self, beta: float) -> Tensor:
        """(1-b)^2 K + b(1-b)(K- + K-^T) + b^2 K~: bounds the clean error when the loss is

        (1-b) clean + b robust.
        """
        return _mix(self.clean, self.cross, self.robust, beta)

    def k_all_robust(self, beta: float) -> Tensor:
        """The same form one perturbation further (K~, K-2, K~2): bounds the robust error."""
        return _mix(self.robust, self.cross_twice, self.twice, beta)


def ntk_kernels(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
    *,
    outputs: str = "sum",
    attack: str = "fgsm",
    eps: float = EPS,
    sketches: int = 0,
    memory_limit: int = MEMORY_LIMIT,
    chunk: int = 16,
) -> Kernels:
    """All kernels from one Gram matrix of the 3M images (x, A(x), A(A(x))).

    A is an attack of `ATTACKS` on the calibrated network; A(A(x)) attacks the attacked images anew,
    so that they lie within 2 * eps of x. The other arguments are those of `gram`, or with
    `sketches` those of `sketched_gram`, which estimates the kernels of outputs="trace".

    Shapes: images (M, ...), labels (M,). Units: eps in the pixel range [0, 1].
    Raises: ValueError for unknown outputs, sketches of other outputs than "trace", or arguments
            that the attack refuses.
    """
    if sketches and outputs != "trace":
        raise ValueError(f"sketches estimate the kernel of outputs 'trace', not {outputs!r}")
    copied = scratch(network)
    calibrate(copied, images)
    once = ATTACKS[attack](copied, images, labels, eps=eps, generator=generator)
    again = ATTACKS[attack](copied, once, labels, eps=eps, generator=generator)
    stacked = torch.cat([images, once, again])
    if sketches:
        full = sketched_gram(
            copied, stacked, generator, sketches=sketches, memory_limit=memory_limit, chunk=chunk
        )
    else:
        full = gram(copied, stacked, outputs=outputs, memory_limit=memory_limit, chunk=chunk)
    m = len(images)
    x, a, aa = slice(0, m), slice(m, 2 * m), slice(2 * m, 3 * m)
    return Kernels(full[x, x], full[a, a], full[x, a], full[aa, aa], full[a, aa])


def gram(
    network: nn.Module,
    images: Tensor,
    *,
    outputs: str = "sum",
    memory_limit: int = MEMORY_LIMIT,
    chunk: int = 16,
) -> Tensor:
    """J J^T with J the exact per-image Jacobians, of the network in eval mode as it is.

    outputs="sum":   f = sum of the K logits, one gradient per image: k = <grad f, grad f'>.
    outputs="trace": k = sum over classes of <grad f_k, grad f'_k>, the trace of the K x K kernel.

    Memory: parameters are taken in groups whose Jacobian (M x K' x group, with one float64 copy)
    stays below `memory_limit` bytes, images in chunks of `chunk`, whose activations come on top. A
    tensor of parameters is never split: the limit is exceeded where the largest alone needs more.
    Shapes:   images (M, ...) -> (M, M), float64, symmetric to the last bit.
    Dtypes:   gradients in the network's dtype, their products summed in float64.
    Raises:   ValueError for unknown outputs.
    """
    if outputs not in OUTPUTS:
        raise ValueError(f"unknown outputs {outputs!r}; choose {' or '.join(OUTPUTS)}")
    num_classes = _num_classes(network, images)
    v_K = images.new_ones(num_classes) if outputs == "sum" else None
    return _gram(network, images, v_K, num_classes, memory_limit, chunk)


def sketched_gram(
    network: nn.Module,
    images: Tensor,
    generator: torch.Generator | None = None,
    *,
    sketches: int = 1,
    memory_limit: int = MEMORY_LIMIT,
    chunk: int = 16,
) -> Tensor:
    """An unbiased estimate of the "trace" kernel from `sketches` gradients per image instead of K.

    mean over s of J_s J_s^T, J_s the Jacobians of the scalar v_s . f(x) with random signs v_s, the
    same for all images. E[v_k v_l] = (k == l), so the mean over all sign vectors is the trace
    kernel exactly; the noise is what the gradients of different classes have in common, which at
    random weights is little. Each term is positive semi-definite of full rank, so that the small
    eigenvalues are usable from one sketch on. K / sketches times cheaper in time and memory.

    Shapes: images (M, ...) -> (M, M), float64, symmetric. Memory and chunk: as for `gram`.
    Raises: ValueError for fewer than one sketch.
    Source: Hutchinson 1990, the stochastic trace estimator, over the K x K blocks of the kernel.
    """
    if sketches < 1:
        raise ValueError(f"sketches must be at least 1, got {sketches}")
    num_classes = _num_classes(network, images)
    device = images.device if generator is None else generator.device
    total = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    for _ in range(sketches):
        signs = torch.randint(2, (num_classes,), generator=generator, device=device) * 2 - 1
        v_K = signs.to(images)
        total += _gram(network, images, v_K, num_classes, memory_limit, chunk)
    return total / sketches


def _gram(
    network: nn.Module,
    images: Tensor,
    v_K: Tensor | None,
    num_classes: int,
    memory_limit: int,
    chunk: int,
) -> Tensor:
    """J J^T, J the Jacobians of v . logits, or (v None) of all logits, by groups of parameters."""
    parameters, call = _functional(network)
    gradients = num_classes if v_K is None else 1
    limit = memory_limit // (len(images) * gradients * (images.element_size() + 8))
    total = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    for names in _groups(parameters, limit):
        group = {name: parameters[name] for name in names}
        rest = {name: p for name, p in parameters.items() if name not in group}

        def readout(group: dict[str, Tensor], x: Tensor, rest: dict[str, Tensor] = rest) -> Tensor:
            logits_K = call({**rest, **group}, x)
            return logits_K if v_K is None else logits_K @ v_K

        jacobian: Any = jacrev(readout) if v_K is None else grad(readout)
        with _ContiguousImages():
            rows = vmap(jacobian, in_dims=(None, 0), chunk_size=chunk)(group, images)
        for name in names:
            j = rows.pop(name).flatten(1).double()
            total += j @ j.T
    return (total + total.T) / 2


@torch.no_grad()
def _num_classes(network: nn.Module, images: Tensor) -> int:
    # Before the first forward pass: in training mode that would move the running statistics.
    if any(module.training for module in network.modules()):
        raise ValueError("kernels need a network in eval mode: batch statistics couple the images")
    return int(network(images[:1]).shape[1])


def _mix(near: Tensor, cross: Tensor, far: Tensor, beta: float) -> Tensor:
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must lie in [0, 1] (the share of the robust loss), got {beta}")
    mixed = beta * (1 - beta) * (cross + cross.T)
    return (1 - beta) ** 2 * near + mixed + beta**2 * far


def _functional(
    network: nn.Module,
) -> tuple[dict[str, Tensor], Callable[[dict[str, Tensor], Tensor], Tensor]]:
    """The parameters, and the logits (K,) of one image as a function of them."""
    # vmap has no rule for channels-last weights either.
    parameters = {name: p.detach().contiguous() for name, p in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def call(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, (parameters, buffers), (x[None],))
        return logits[0]

    return parameters, call


def _groups(parameters: dict[str, Tensor], limit: int) -> Iterator[list[str]]:
    """Names of consecutive parameters with at most `limit` numbers, or of one that has more."""
    names: list[str] = []
    size = 0
    for name, parameter in parameters.items():
        if names and size + parameter.numel() > limit:
            yield names
            names, size = [], 0
        names.append(name)
        size += parameter.numel()
    yield names


class _ContiguousImages(TorchFunctionMode):
    """Leaves tensors in their layout: vmap has no rule for a change to channels-last."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.contiguous:
            return args[0]
        return func(*args, **(kwargs or {}))
