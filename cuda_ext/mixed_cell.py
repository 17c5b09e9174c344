"""A whole cell as one operator: convolutions from torch, everything between them from mixed_op.

Node by node the same work could be left to autograd, but then each node's gradient would be summed
from up to eight full-size pieces and every stacked convolution output would be copied apart and
together again. With the whole cell in hand, gradients are written straight into the stacks that the
next convolution reads, and each node's gradient is gathered in one pass.

B images, C channels, H x W pixels, channels-last. Node 0 is the input, node 3 the output; the edges
are 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2, each owning one row of w. Kernels come stacked by source
node: those of the n edges that leave node j are one tensor (n C, C, k, k), n = 3, 2, 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ext.cell_parts import (
    INCOMING,
    NUM_EDGES,
    OUTGOING,
    SOURCE,
    TARGET,
    by_source,
    channels_last,
    convolve,
    convolve_backward,
    empty,
    interleave,
    slices,
)
from cuda_ext.common import (
    NUM_OPS,
    POOL,
    SKIP,
    any_needed,
    arithmetic_type,
    check_tensor,
    check_values,
    once_differentiable,
)

_ops = torch.ops.robust_supernet


def training_cell(
    x: Tensor, w_EO: Tensor, kernels3: Sequence[Tensor], kernels1: Sequence[Tensor], eps: float
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The mixed cell in training mode: batch statistics, non-affine BN.

    Shapes:   x (B, C, H, W), w_EO (6, 5); kernels3 and kernels1 three stacks each ->
              out (B, C, H, W), and for each of nodes 1, 2, 3 mean and biased variance (S, 2, C) of
              its S incoming edges' two convolutions.
    Gradient: to x, w_EO and the kernels, once; a second derivative is refused. None to mean, var.
    Raises:   ValueError naming the tensor, what was expected and what was received.
    Differs:  equal to ops.mixed.MixedCell's reference form, which is its test.
    """
    _check_cell(x, kernels3, 3, "kernels3")
    _check_cell(x, kernels1, 1, "kernels1")
    check_values(x, w_EO, "w_EO", (NUM_EDGES, NUM_OPS))
    result = _ops.training_cell(channels_last(x), w_EO, list(kernels3), list(kernels1), eps)
    return result[0], result[1:4], result[4:7]


def attack_cell(
    x: Tensor, r: Tensor, w: Tensor, kernels: Sequence[Tensor], bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The folded cell: frozen BN inside the 3x3 kernels, returns (out, relu(out)).

    Shapes:   x (B, C, H, W); r = relu(x), computed by whoever wrote x; w (6, 2) = (w_skip, w_pool);
              kernels three stacks; bias (3, C), one row for each of nodes 1, 2, 3.
    Gradient: to x only, once, and from out only: r is a copy that saves a pass, so the whole
              gradient, its path through r included, is given to x, and relu(out) has none.
    Raises:   ValueError naming the tensor, what was expected and what was received.
    """
    _check_cell(x, kernels, 3, "kernels")
    check_tensor(x, r, "r", tuple(x.shape))
    check_values(x, w, "w", (NUM_EDGES, 2))
    check_values(x, bias, "bias", (3, x.shape[1]))
    for name, tensor in (("r", r), ("w", w), ("bias", bias)):
        if tensor.requires_grad:
            raise ValueError(f"{name} requires a gradient, expected a constant")
    result = _ops.attack_cell(channels_last(x), channels_last(r), w, list(kernels), bias)
    return result[0], result[1]


def _check_cell(x: Tensor, kernels: Sequence[Tensor], size: int, name: str) -> None:
    if x.dim() != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected (B, C, H, W)")
    C = x.shape[1]
    if len(kernels) != 3:
        raise ValueError(f"{name} has {len(kernels)} stacks, expected 3")
    for j, kernel in enumerate(kernels):
        check_tensor(x, kernel, f"{name}[{j}]", ((3 - j) * C, C, size, size))


# Training -------------------------------------------------------------------------------------


def _training_forward(
    x: Tensor, w_EO: Tensor, kernels3: list[Tensor], kernels1: list[Tensor], eps: float
) -> list[Tensor]:
    """[out, means (3), variances (3), nodes 1, 2, relus (3), 3x3 outputs (3), 1x1 outputs (3)]."""
    C = x.shape[1]
    nodes, relus = [x], [F.relu(x)]
    means, variances, y3, y1 = (list[Tensor]() for _ in range(4))
    for node in (1, 2, 3):
        y3.append(convolve(relus[-1], kernels3[node - 1]))
        y1.append(convolve(relus[-1], kernels1[node - 1]))
        edges = INCOMING[node]
        parts1, parts3 = slices(y1, edges, C), slices(y3, edges, C)
        mean, var = (
            values.view(-1, 2, C) for values in _ops.channel_moments(interleave(parts1, parts3))
        )
        out, relu = _ops.training_node_write(
            [nodes[SOURCE[e]] for e in edges], parts1, parts3,
            w_EO[edges[0] : edges[-1] + 1], mean, var, eps, node < 3,
        )  # fmt: skip
        nodes.append(out)
        relus.append(relu)
        means.append(mean)
        variances.append(var)
    return [nodes[3], *means, *variances, *nodes[1:3], *relus[:3], *y3, *y1]


def _training_backward(
    g: Tensor, x: Tensor, w_EO: Tensor, kernels3: list[Tensor], kernels1: list[Tensor],
    saved: list[Tensor], eps: float, need_w: bool, need_x: bool, need_kernels: bool,
) -> list[Tensor]:  # fmt: skip
    """Of these what is needed: [dw_EO, dx, six kernel gradients (3x3 then 1x1)]."""
    C = x.shape[1]
    means, variances, nodes = saved[:3], saved[3:6], [x, *saved[6:8]]
    relus, y3, y1 = saved[8:11], saved[11:14], saved[14:17]
    dy3, dy1 = [torch.empty_like(y) for y in y3], [torch.empty_like(y) for y in y1]
    weights = by_source(w_EO[:, SKIP : POOL + 1 : POOL - SKIP])
    gradients: list[Any] = [None, None, None, channels_last(g)]
    dw: list[Any] = [None] * 4
    dk3: list[Any] = [None] * 3
    dk1: list[Any] = [None] * 3
    for node in (3, 2, 1):
        edges, g = INCOMING[node], gradients[node]
        rows = slice(edges[0], edges[-1] + 1)
        parts1, parts3 = slices(y1, edges, C), slices(y3, edges, C)
        dw[node], coef = _ops.training_node_sums(
            g, [nodes[SOURCE[e]] for e in edges], parts1, parts3,
            w_EO[rows], means[node - 1], variances[node - 1], eps,
        )  # fmt: skip
        _ops.norm_backward(
            g, interleave(parts1, parts3), coef,
            interleave(slices(dy1, edges, C), slices(dy3, edges, C)),
        )  # fmt: skip
        source = node - 1
        need_source = source > 0 or need_x
        dr3, dk3[source] = convolve_backward(
            dy3[source], relus[source], kernels3[source], need_source, need_kernels
        )
        dr1, dk1[source] = convolve_backward(
            dy1[source], relus[source], kernels1[source], need_source, need_kernels
        )
        if need_source:
            gradients[source] = torch.empty_like(x)
            _ops.node_backward(
                [gradients[TARGET[e]] for e in OUTGOING[source]], weights[source], [dr3, dr1],
                nodes[source], [gradients[source]],
            )  # fmt: skip
    result = [torch.cat(dw[1:]).to(w_EO.dtype)] if need_w else []
    if need_x:
        result.append(gradients[0])
    return result + dk3 + dk1 if need_kernels else result


def _fake_training_forward(
    x: Tensor, w_EO: Tensor, kernels3: list[Tensor], kernels1: list[Tensor], eps: float
) -> list[Tensor]:
    C = x.shape[1]
    wide = arithmetic_type(x.dtype)
    statistics = [x.new_empty((S, 2, C), dtype=wide) for S in (1, 2, 3, 1, 2, 3)]
    stacks = [empty(x, n * C) for n in (3, 2, 1, 3, 2, 1)]
    return [empty(x, C), *statistics, *(empty(x, C) for _ in range(5)), *stacks]


def _fake_training_backward(
    g: Tensor, x: Tensor, w_EO: Tensor, kernels3: list[Tensor], kernels1: list[Tensor],
    saved: list[Tensor], eps: float, need_w: bool, need_x: bool, need_kernels: bool,
) -> list[Tensor]:  # fmt: skip
    result = [torch.empty_like(w_EO)] if need_w else []
    if need_x:
        result.append(torch.empty_like(x, memory_format=torch.channels_last))
    kernels = kernels3 + kernels1 if need_kernels else []
    return result + [torch.empty_like(k) for k in kernels]


def _save_training(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, w_EO, kernels3, kernels1, ctx.eps = inputs
    ctx.save_for_backward(x, w_EO, *kernels3, *kernels1, *output[1:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # no zeros for what nobody differentiates


def _training_gradient(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    x, w_EO, *rest = ctx.saved_tensors
    need_x, need_w, need3, need1 = (any_needed(needed) for needed in ctx.needs_input_grad[:4])
    need_kernels = need3 or need1
    if grads[0] is None:
        return None, None, [None] * 3, [None] * 3, None
    found = _ops.training_cell_backward(
        grads[0], x, w_EO, rest[:3], rest[3:6], rest[6:], ctx.eps, need_w, need_x, need_kernels
    )
    dw = found.pop(0) if need_w else None
    dx = found.pop(0) if need_x else None
    dk3, dk1 = (found[:3], found[3:]) if need_kernels else ([None] * 3, [None] * 3)
    return dx, dw, dk3, dk1, None


# Attack ---------------------------------------------------------------------------------------


def _attack_forward(
    x: Tensor, r: Tensor, w: Tensor, kernels: list[Tensor], bias: Tensor
) -> list[Tensor]:
    """[out, relu(out), relu of node 1, relu of node 2]."""
    C = x.shape[1]
    nodes, relus, z = [x], [r], []
    for node in (1, 2, 3):
        z.append(convolve(relus[-1], kernels[node - 1]))
        edges = INCOMING[node]
        out, relu = _ops.attack_node(
            [nodes[SOURCE[e]] for e in edges], slices(z, edges, C),
            w[edges[0] : edges[-1] + 1], bias[node - 1], True,
        )  # fmt: skip
        nodes.append(out)
        relus.append(relu)
    return [nodes[3], relus[3], *relus[1:3]]


def _attack_backward(g: Tensor, relus: list[Tensor], w: Tensor, kernels: list[Tensor]) -> Tensor:
    """dx. The gradient of every convolution output is that of its target node."""
    by_edge = g.device.type == "cpu"
    form = _attack_backward_by_edge if by_edge else _attack_backward_stacked
    return form(channels_last(g), relus, by_source(w), kernels)


def _attack_backward_by_edge(
    g: Tensor, relus: list[Tensor], weights: Sequence[Tensor], kernels: list[Tensor]
) -> Tensor:
    """A convolution for each edge, which reads the gradient of its node as it lies. On a CPU that
    is faster than fewer large ones, and no gradient is copied into a stack."""
    gradients: list[Any] = [None, None, None, g]
    for source in (2, 1, 0):
        incoming = gradients[source + 1 :]
        parts: list[Any] = [
            convolve_backward(each, relus[source], kernel, True, False)[0]
            for each, kernel in zip(incoming, kernels[source].split(g.shape[1]), strict=True)
        ]
        if len(parts) == 3:  # the kernel gathers two
            parts = [parts[0].add_(parts[1]), parts[2]]
        gradients[source] = torch.empty_like(relus[source])
        _ops.node_backward(
            incoming, weights[source], parts, relus[source], [gradients[source]]
        )  # fmt: skip
    dx: Tensor = gradients[0]
    return dx


def _attack_backward_stacked(
    g: Tensor, relus: list[Tensor], weights: Sequence[Tensor], kernels: list[Tensor]
) -> Tensor:
    """A convolution for each source, which reads the gradients of nodes j+1..3 side by side: the
    fewest launches."""
    C = g.shape[1]
    stacks = [empty(g, n * C) for n in (3, 2)] + [g]
    for j in (0, 1):
        stacks[j].narrow(1, (2 - j) * C, C).copy_(g)
    for source in (2, 1, 0):
        incoming = [stacks[source].narrow(1, k * C, C) for k in range(3 - source)]
        dr, _ = convolve_backward(stacks[source], relus[source], kernels[source], True, False)
        # Node j's gradient is written once into every stack that reads it.
        targets = [stacks[j].narrow(1, (source - 1 - j) * C, C) for j in range(source)]
        targets = targets or [torch.empty_like(relus[0])]
        _ops.node_backward(incoming, weights[source], [dr], relus[source], targets)
    return targets[0]


def _fake_attack_forward(
    x: Tensor, r: Tensor, w: Tensor, kernels: list[Tensor], bias: Tensor
) -> list[Tensor]:
    return [torch.empty_like(x, memory_format=torch.channels_last) for _ in range(4)]


def _fake_attack_backward(
    g: Tensor, relus: list[Tensor], w: Tensor, kernels: list[Tensor]
) -> Tensor:
    return torch.empty_like(relus[0], memory_format=torch.channels_last)


def _save_attack(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _, r, w, kernels, _ = inputs
    ctx.save_for_backward(r, *output[2:], w, *kernels)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _attack_gradient(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    if any(any_needed(needed) for needed in ctx.needs_input_grad[1:]):
        raise RuntimeError("attack_cell has a gradient to x only; use impl='batched' for more")
    *relus, w, k0, k1, k2 = ctx.saved_tensors
    dx = None
    if grads[0] is not None:
        dx = _ops.attack_cell_backward(grads[0], relus, w, [k0, k1, k2])
    return dx, None, None, [None] * 3, None


BODIES: dict[str, Callable[..., Any]] = {
    "robust_supernet::training_cell": _training_forward,
    "robust_supernet::training_cell_backward": _training_backward,
    "robust_supernet::attack_cell": _attack_forward,
    "robust_supernet::attack_cell_backward": _attack_backward,
}
"""The operators of this file. They are compositions: their bodies are Python on every device."""
_FAKES: dict[str, Callable[..., Any]] = {
    "training_cell": _fake_training_forward,
    "training_cell_backward": _fake_training_backward,
    "attack_cell": _fake_attack_forward,
    "attack_cell_backward": _fake_attack_backward,
}


def _register() -> None:
    for name, body in BODIES.items():
        op = torch.library.custom_op(name, body, mutates_args=())
        short = name.removeprefix("robust_supernet::")
        op.register_fake(_FAKES[short])
        if short == "training_cell":
            op.register_autograd(_training_gradient, setup_context=_save_training)
        elif short == "attack_cell":
            op.register_autograd(_attack_gradient, setup_context=_save_attack)
        else:
            op.register_autograd(once_differentiable(short.removesuffix("_backward")))


_register()
