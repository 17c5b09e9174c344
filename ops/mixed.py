"""The mixed edge and the mixed cell of the supernet.

B images, C channels, H x W pixels; w_EO edge weights: E = 6 edges, O = 5 operators.
Source: Liu et al. 2019, arXiv:1806.09055, eq. 2, over the cell of Dong & Yang 2020.
"""

import functools
import operator
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cuda_ext import _native
from cuda_ext.mixed_cell import training_cell
from cuda_ext.mixed_op import training_node
from ops.candidates import BN_EPS, OPS
from ops.space import EDGES, INCOMING, NUM_EDGES, NUM_OPS, OUTGOING
from ops.stacks import CONVS, PLACE, CellKernels, Moments, Stack
from ops.synchronised import Gather, bessel, synchronised_node

Impl = Literal["auto", "reference", "batched", "native"]
IMPLS: tuple[str, ...] = get_args(Impl)

Ops = tuple[int, ...]
"""One operator number per edge: a single cell."""


def resolve_impl(impl: str, device_type: str = "cpu", dtype: torch.dtype = torch.float32) -> str:
    """Replace "auto" by "native" where there are kernels for the device and dtype, else by
    "batched".

    Raises: ValueError for an unknown name; RuntimeError for "native" where it cannot run.
    """
    if impl not in IMPLS:
        raise ValueError(f"impl '{impl}' is unknown; choose one of {', '.join(IMPLS)}")
    if impl in ("auto", "native"):
        return "native" if _native.choose(impl, device_type, dtype) else "batched"
    return impl


def kernels_of(impl: str, device_type: str = "cpu") -> str | None:
    """Which kernels `resolve_impl` takes, `compiled` or `triton 3.8.0`; None in plain PyTorch."""
    return _native.form(device_type) if resolve_impl(impl, device_type) == "native" else None


def why_impl(impl: str, device_type: str = "cpu", dtype: torch.dtype = torch.float32) -> str:
    """Why `resolve_impl` takes what it takes: a few words for the user."""
    taken = resolve_impl(impl, device_type, dtype)
    if taken == "native":
        return _native.describe(device_type)
    if impl == taken:
        return "plain PyTorch, as --impl asks"
    return f"plain PyTorch: {_native.why_not(device_type, dtype)}"


class MixedOp(nn.Module):
    """One edge: sum_o w[o] * op_o(x), all five operators (the reference form)."""

    def __init__(self, C: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(factory(C, False) for factory in OPS.values())

    def forward(self, x: Tensor, w_O: Tensor) -> Tensor:
        """Shapes: x (B, C, H, W), w_O (5,) -> (B, C, H, W)."""
        return _sum(w * op(x) for w, op in zip(w_O, self.ops, strict=True))


class MixedCell(nn.Module):
    """The searched cell, as the mixture of its operators and as any one cell of them.

    Batch norm has neither scale nor shift, as in DARTS. `impl` chooses how the mixture is computed:
      reference  five modules and a weighted sum per edge, word for word the definition;
      batched    one relu and one pool per source node, one 3x3 and one 1x1 convolution per source
                 for all edges that leave it, in plain PyTorch;
      native     the whole cell as one compiled operator around torch's convolutions.
    Outside training mode the modules themselves run; in eval mode the folded cell (`ops.fold`) is
    the fast one.
    Where several processes share a batch (`ops.synchronised`), batched takes the place of native.
    """

    gather: Gather | None = None
    """What brings the batch statistics of several processes together; None in one alone."""

    def __init__(self, C: int, stack: Stack | None = None) -> None:
        super().__init__()
        self.C = C
        # Any: a ModuleList gives plain Modules, and these are MixedOps.
        self.edges: Any = nn.ModuleList(MixedOp(C) for _ in range(NUM_EDGES))
        self.own_stack = Stack(C, 1) if stack is None else None
        # In a tuple, so that a stack that several cells share is a part of none of them.
        stack = self.own_stack if stack is None else stack
        assert stack is not None
        self._at = (stack, stack.adopt(list(self.edges)))

    @property
    def stack(self) -> Stack:
        """Where the kernels and running statistics are."""
        return self._at[0]

    @property
    def number(self) -> int:
        """The number of the cell in its stack."""
        return self._at[1]

    def _apply(self, fn: Any, recurse: bool = True) -> "MixedCell":
        super()._apply(fn, recurse)
        if self.own_stack is not None:
            self.own_stack.bind()
        return self

    def forward(
        self, x: Tensor, w_EO: Tensor, impl: str = "auto", kernels: CellKernels | None = None,
        moments: list[Moments] | None = None,
    ) -> Tensor:  # fmt: skip
        """The mixture: see `forward_mixture`."""
        return self.forward_mixture(x, w_EO, impl, kernels, moments)

    def forward_mixture(
        self, x: Tensor, w_EO: Tensor, impl: str = "auto", kernels: CellKernels | None = None,
        moments: list[Moments] | None = None,
    ) -> Tensor:  # fmt: skip
        """Node i is the sum over its incoming edges of sum_o w[e, o] * op_o(source).

        A network hands in the cell's kernels by source node, cut from the stack once in a pass, and
        a list for the batch statistics; it gives these to `Stack.track` itself.

        Shapes:   x (B, C, H, W), w_EO (6, 5) -> (B, C, H, W).
        Gradient: to x, w_EO and the weights; twice differentiable for reference and batched.
        """
        if w_EO.shape != (NUM_EDGES, NUM_OPS):
            raise ValueError(f"w_EO has shape {tuple(w_EO.shape)}, expected (6, 5)")
        impl = resolve_impl(impl, x.device.type, x.dtype)
        if impl == "reference" or not self.training:
            return self._forward_reference(x, w_EO)
        if kernels is None:
            kernels = self.stack.of_sources()[self.number]
        native = impl == "native" and self.gather is None
        form = self._forward_native if native else self._forward_batched
        out, found = form(x, w_EO, kernels)
        if moments is None:
            self.stack.track(self.number, [found])
        else:
            moments.append(found)
        return out

    def forward_cell(
        self, x: Tensor, ops: Ops, w_E: Tensor | None = None, kernels: CellKernels | None = None
    ) -> Tensor:
        """The cell with operator ops[e] on edge e alone, at the cost of that cell.

        A network hands in the cell's kernels by place, cut from the stack once in a pass.

        With w_E, each edge is multiplied by its weight: a mixture in which the other operators have
        weight 0.
        Shapes:   x (B, C, H, W), w_E (6,) -> (B, C, H, W).
        Gradient: to x, w_E and the weights of these operators.
        """
        nodes = [x]
        for incoming in INCOMING[1:]:
            terms = (self._run(e, ops[e], nodes[EDGES[e][1]], kernels) for e in incoming)
            if w_E is not None:
                terms = (w_E[e] * term for e, term in zip(incoming, terms, strict=True))
            nodes.append(_sum(terms))
        return nodes[3]

    def _forward_reference(self, x: Tensor, w_EO: Tensor) -> Tensor:
        nodes = [x]
        for incoming in INCOMING[1:]:
            terms = (self.edges[e](nodes[EDGES[e][1]], w_EO[e]) for e in incoming)
            nodes.append(_sum(terms))
        return nodes[3]

    def _run(self, e: int, op: int, x: Tensor, kernels: CellKernels | None) -> Tensor:
        out: Tensor
        module = self.edges[e].ops[op]
        if kernels is None or op not in CONVS:
            out = module(x)
        else:
            out = module.with_kernel(x, kernels[CONVS.index(op)][PLACE[e]])
        return out

    def _forward_native(
        self, x: Tensor, w_EO: Tensor, kernels: CellKernels
    ) -> tuple[Tensor, Moments]:
        # Convolutions may take another type than the weights have.
        kernels3, kernels1 = (
            [kernel.to(x.dtype) for kernel in some] for some in (kernels.size3, kernels.size1)
        )
        out, mean, var = training_cell(x, w_EO, kernels3, kernels1, BN_EPS)
        return out, Moments(mean, var, bessel(x.numel() // self.C))

    def _forward_batched(
        self, x: Tensor, w_EO: Tensor, kernels: CellKernels
    ) -> tuple[Tensor, Moments]:
        nodes, y1, y3, statistics = [x], {}, {}, []
        for incoming in INCOMING[1:]:
            # The newest node is complete: convolve it once for all edges that leave it.
            source = len(nodes) - 1
            r = F.relu(nodes[source])
            y1.update(self._convolve(r, source, kernels.size1))
            y3.update(self._convolve(r, source, kernels.size3))
            out, mean, var, correction = self._node(
                [nodes[EDGES[e][1]] for e in incoming],
                [y1[e] for e in incoming],
                [y3[e] for e in incoming],
                w_EO[incoming[0] : incoming[-1] + 1],
            )
            statistics.append((mean, var))
            nodes.append(out)
        means, variances = zip(*statistics, strict=True)
        return nodes[3], Moments(means, variances, correction)

    def _node(
        self, v: list[Tensor], y1: list[Tensor], y3: list[Tensor], w: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Any]:
        """Node, mean, biased variance, and what makes that unbiased."""
        if self.gather is not None:
            return synchronised_node(v, y1, y3, w, BN_EPS, self.gather)
        out, mean, var = training_node(v, y1, y3, w, eps=BN_EPS, impl="reference")
        return out, mean, var, bessel(v[0].numel() // self.C)

    def _convolve(self, r: Tensor, source: int, kernels: Sequence[Tensor]) -> dict[int, Tensor]:
        """{edge: convolution output} for the edges that leave `source`, by one convolution."""
        weight = kernels[source]
        y = F.conv2d(r, weight, padding=weight.shape[-1] // 2)
        return dict(zip(OUTGOING[source], y.split(self.C, dim=1), strict=True))


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return functools.reduce(operator.add, terms)
