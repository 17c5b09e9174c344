"""The fused operators of a cell's node, each next to its PyTorch reference.

B images, C channels, H x W pixels; S = 1 to 3 incoming edges of a node. Tensors are channels-last
(the fast path) or NCHW, one layout per call; channel slices of a wider tensor are read in place,
other strided views are copied first. CUDA knows channels-last alone and copies NCHW to it. Storage
float32, float64, bfloat16 or float16, on CUDA float32 or bfloat16; arithmetic float64 for float64,
else float32. pool is the 3x3 average pool, stride 1, padding 1, that divides
by the pixels inside the image; norm(y) = (y - mean) / sqrt(var + eps) with the biased statistics
over B, H, W.

Schemas and kernels are in csrc/, kernels in Triton in triton_ops.py; fake kernels and autograd
are at the end of this file.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ext import _native, triton_ops
from cuda_ext.common import (
    CONV1,
    CONV3,
    NUM_OPS,
    POOL,
    SKIP,
    any_needed,
    arithmetic_type,
    once_differentiable,
)

Impl = Literal["auto", "reference", "native"]


def training_node(
    v: Sequence[Tensor],
    y1: Sequence[Tensor],
    y3: Sequence[Tensor],
    w: Tensor,
    *,
    eps: float = 1e-5,
    impl: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """out = sum_s w_skip v_s + w_pool pool(v_s) + w_1x1 norm(y1_s) + w_3x3 norm(y3_s).

    Shapes:   v, y1, y3 S times (B, C, H, W); w (S, 5) in alpha's column order -> out (B, C, H, W),
              mean and biased variance (S, 2, C) of y1 and y3, in the arithmetic type.
    Dtypes:   v, y1, y3 alike; w that type or the arithmetic type.
    Gradient: to v, y1, y3 and w, through the statistics; none to mean and var. The native form is
              once differentiable and refuses a second derivative.
    Raises:   ValueError naming the tensor, what was expected and what was received.
    Source:   Liu et al. 2019, arXiv:1806.09055, eq. 2, with the operators of Dong & Yang 2020.
    """
    if not _choose(impl, v):
        return training_node_ref(v, y1, y3, w, eps=eps)
    return torch.ops.robust_supernet.training_node(list(v), list(y1), list(y3), w, eps)


def training_node_ref(
    v: Sequence[Tensor],
    y1: Sequence[Tensor],
    y3: Sequence[Tensor],
    w: Tensor,
    *,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """`training_node` in plain PyTorch, any number of times differentiable."""
    wide = arithmetic_type(v[0].dtype)
    out, means, variances = torch.zeros_like(v[0]), [], []
    for s in range(len(v)):
        out = out + w[s, SKIP] * v[s] + w[s, POOL] * _pool(v[s])
        for op, y in ((CONV1, y1[s]), (CONV3, y3[s])):
            var, mean = torch.var_mean(y.to(wide), dim=(0, 2, 3), correction=0, keepdim=True)
            normed = (y.to(wide) - mean) * torch.rsqrt(var + eps)
            out = out + w[s, op] * normed.to(y.dtype)
            means.append(mean.detach().flatten())
            variances.append(var.detach().flatten())
    shape = (len(v), 2, -1)
    return out, torch.stack(means).view(shape), torch.stack(variances).view(shape)


def attack_node(
    v: Sequence[Tensor],
    z: Sequence[Tensor],
    w: Tensor,
    bias: Tensor,
    *,
    relu: bool = True,
    impl: str = "auto",
) -> tuple[Tensor, Tensor]:
    """out = sum_s w[s, 0] v_s + w[s, 1] pool(v_s) + z_s, plus bias; and relu(out), in one pass.

    Shapes:   v, z S times (B, C, H, W); w (S, 2) = (w_skip, w_pool); bias (C,) -> out, relu(out),
              both (B, C, H, W). Without `relu` the second is empty.
    Dtypes:   v and z alike; w and bias that type or the arithmetic type.
    Gradient: to v and z only, from both outputs. The native form is once differentiable and refuses
              a second derivative.
    Raises:   ValueError naming the tensor, what was expected and what was received; also where w or
              bias requires a gradient.
    Source:   the folding in ops/fold.py.
    """
    for tensor, name in ((w, "w"), (bias, "bias")):
        if tensor.requires_grad:
            raise ValueError(f"{name} requires a gradient, expected a constant: folded weights are")
    if not _choose(impl, v):
        return attack_node_ref(v, z, w, bias, relu=relu)
    return torch.ops.robust_supernet.attack_node(list(v), list(z), w, bias, relu)


def attack_node_ref(
    v: Sequence[Tensor], z: Sequence[Tensor], w: Tensor, bias: Tensor, *, relu: bool = True
) -> tuple[Tensor, Tensor]:
    """`attack_node` in plain PyTorch, any number of times differentiable."""
    out = bias.to(v[0].dtype)[:, None, None]
    for s in range(len(v)):
        out = out + w[s, 0] * v[s] + w[s, 1] * _pool(v[s]) + z[s]
    return out, F.relu(out) if relu else out.new_empty(0)


def attack_step(
    x_adv: Tensor,
    grad: Tensor,
    x: Tensor,
    *,
    eps: float | None,
    step_size: float,
    impl: str = "auto",
) -> Tensor:
    """clip(x_adv + step_size * sign(grad), x - eps, x + eps), then clip to [0, 1], in place.

    FGSM and PGD give eps; N-FGSM and FGSM on an already perturbed start leave out the ball (None).

    Shapes:   all alike, (B, C, H, W). Returns x_adv.
    Units:    pixels in [0, 1].
    Gradient: none: an update, not a layer.
    Raises:   ValueError naming the tensor, what was expected and what was received.
    Source:   Madry et al. 2018, arXiv:1706.06083, eq. 4.
    """
    if not _choose(impl, [x_adv]):
        return attack_step_ref(x_adv, grad, x, eps=eps, step_size=step_size)
    with torch.no_grad():
        torch.ops.robust_supernet.attack_step(x_adv, grad, x, eps, step_size)
    if not torch.compiler.is_compiling():
        torch.autograd.graph.increment_version(x_adv)
    return x_adv


@torch.no_grad()
def attack_step_ref(
    x_adv: Tensor, grad: Tensor, x: Tensor, *, eps: float | None, step_size: float
) -> Tensor:
    """`attack_step` in plain PyTorch."""
    x_adv.add_(grad.sign(), alpha=step_size)
    if eps is not None:
        x_adv.copy_(torch.minimum(torch.maximum(x_adv, x - eps), x + eps))
    return x_adv.clamp_(0, 1)


def _choose(impl: str, v: Sequence[Tensor]) -> bool:
    if not v:  # refused by the operator
        return _native.choose(impl, "cpu")
    return _native.choose(impl, v[0].device.type, v[0].dtype)


def _pool(v: Tensor) -> Tensor:
    return F.avg_pool2d(v, 3, stride=1, padding=1, count_include_pad=False)


# Fake kernels: shapes, dtypes and strides only ------------------------------------------------


def _is_channels_last(*tensors: Tensor) -> bool:
    """The layout that csrc/call.h settles on: NCHW where a tensor is that and nothing else, and the
    device is not CUDA."""
    return tensors[0].device.type == "cuda" or not any(
        (t.stride(3) == 1 or t.shape[3] == 1) and not (t.stride(1) == 1 or t.shape[1] == 1)
        for t in tensors
    )


def _output(*inputs: Tensor) -> Tensor:
    layout = torch.channels_last if _is_channels_last(*inputs) else torch.contiguous_format
    return torch.empty_like(inputs[0], memory_format=layout)


def _values(like: Tensor, *shape: int) -> Tensor:
    return like.new_empty(shape, dtype=arithmetic_type(like.dtype))


def _fake_training_node(
    v: list[Tensor], y1: list[Tensor], y3: list[Tensor], w: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (len(v), 2, v[0].shape[1])
    return _output(*v, *y1, *y3), _values(v[0], *shape), _values(v[0], *shape)


def _fake_training_node_backward(
    g: Tensor, v: list[Tensor], y1: list[Tensor], y3: list[Tensor], w: Tensor,
    mean: Tensor, var: Tensor, eps: float, need_v: bool, need_y: bool,
) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:  # fmt: skip
    def outputs(needed: bool) -> list[Tensor]:
        return [_output(*v, *y1, *y3) for _ in range(len(v) if needed else 0)]

    return outputs(need_v), outputs(need_y), outputs(need_y), torch.empty_like(w)


def _fake_attack_node(
    v: list[Tensor], z: list[Tensor], w: Tensor, bias: Tensor, relu: bool
) -> tuple[Tensor, Tensor]:
    return _output(*v, *z), _output(*v, *z) if relu else v[0].new_empty(0)


def _fake_attack_node_backward(
    g_out: Tensor, g_relu: Tensor | None, out: Tensor, w: Tensor, need_v: bool
) -> tuple[Tensor, list[Tensor]]:
    return _output(out), [_output(out) for _ in range(w.shape[0] if need_v else 0)]


def _fake_channel_moments(y: list[Tensor]) -> tuple[Tensor, Tensor]:
    shape = (len(y), y[0].shape[1])
    return _values(y[0], *shape), _values(y[0], *shape)


def _fake_training_node_write(
    v: list[Tensor], y1: list[Tensor], y3: list[Tensor], w: Tensor,
    mean: Tensor, var: Tensor, eps: float, relu: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return _output(*v, *y1, *y3), _output(*v, *y1, *y3) if relu else v[0].new_empty(0)


def _fake_training_node_sums(
    g: Tensor, v: list[Tensor], y1: list[Tensor], y3: list[Tensor], w: Tensor,
    mean: Tensor, var: Tensor, eps: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    S = len(v)
    return _values(v[0], S, NUM_OPS), _values(v[0], 2 * S, 3, v[0].shape[1])


def _fake_nothing(*args: Any) -> None:
    """For operators that only write into their arguments."""


# Autograd -------------------------------------------------------------------------------------


def _save_training_node(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    v, y1, y3, w, ctx.eps = inputs
    _, mean, var = output
    ctx.num_sources = len(v)
    ctx.save_for_backward(*v, *y1, *y3, w, mean, var)
    ctx.mark_non_differentiable(mean, var)


def _training_node_gradient(ctx: Any, g: Tensor, _mean: Any, _var: Any) -> tuple[Any, ...]:
    S = ctx.num_sources
    *tensors, w, mean, var = ctx.saved_tensors
    v, y1, y3 = tensors[:S], tensors[S : 2 * S], tensors[2 * S :]
    need_v, need_y1, need_y3, need_w = (any_needed(needed) for needed in ctx.needs_input_grad[:4])
    dv, dy1, dy3, dw = torch.ops.robust_supernet.training_node_backward(
        g, v, y1, y3, w, mean, var, ctx.eps, need_v, need_y1 or need_y3
    )
    nothing = [None] * S
    return dv or nothing, dy1 or nothing, dy3 or nothing, dw if need_w else None, None


def _save_attack_node(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    v, _, w, _, ctx.relu = inputs
    ctx.num_sources = len(v)
    ctx.save_for_backward(output[0], w)


def _attack_node_gradient(ctx: Any, g_out: Tensor, g_relu: Tensor) -> tuple[Any, ...]:
    out, w = ctx.saved_tensors
    need_v, need_z, need_w, need_bias = (any_needed(needed) for needed in ctx.needs_input_grad[:4])
    if need_w or need_bias:
        raise RuntimeError("attack_node has no gradient to w and bias; use impl='reference'")
    g, dv = torch.ops.robust_supernet.attack_node_backward(
        g_out, g_relu if ctx.relu else None, out, w, need_v
    )
    S = ctx.num_sources
    return dv or [None] * S, [g if need_z else None] * S, None, None, None


def _register() -> None:
    fakes: dict[str, Any] = {
        "training_node": _fake_training_node,
        "training_node_backward": _fake_training_node_backward,
        "training_node_write": _fake_training_node_write,
        "training_node_sums": _fake_training_node_sums,
        "attack_node": _fake_attack_node,
        "attack_node_backward": _fake_attack_node_backward,
        "channel_moments": _fake_channel_moments,
        "norm_backward": _fake_nothing,
        "node_backward": _fake_nothing,
        "attack_step": _fake_nothing,
    }
    for name, fake in fakes.items():
        torch.library.register_fake(f"robust_supernet::{name}", fake)
    gradients = {
        "training_node": (_training_node_gradient, _save_training_node),
        "attack_node": (_attack_node_gradient, _save_attack_node),
        "training_node_backward": (once_differentiable("training_node"), None),
        "attack_node_backward": (once_differentiable("attack_node"), None),
        "training_node_write": (once_differentiable("training_node_write"), None),
        "training_node_sums": (once_differentiable("training_node_sums"), None),
        "channel_moments": (once_differentiable("channel_moments"), None),
    }
    for name, (backward, setup_context) in gradients.items():
        torch.library.register_autograd(
            f"robust_supernet::{name}", backward, setup_context=setup_context
        )


if _native.by_triton("cuda"):
    triton_ops.register(define=not _native.available())
if _native.defined():
    _register()
