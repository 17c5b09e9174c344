"""Batch statistics of a batch that several processes share.

Each process has some of the images. Their counts, means and variances are gathered, and the mean
and the variance of all images follow exactly:

    mean = sum_r n_r mean_r / n        var = sum_r n_r (var_r + (mean_r - mean)^2) / n

`gather` is what the processes do: it is given to `synchronise`, and nothing here knows of them.
torch's SyncBatchNorm is for GPUs alone, and the mixed cell has no batch norm layers to convert.

B images, C channels, H x W pixels; S incoming edges of a node, R processes.
"""

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cuda_ext.common import arithmetic_type
from ops.candidates import avg_pool3x3
from ops.space import CONV1, CONV3, POOL, SKIP

Gather = Callable[[Tensor], Tensor]
"""(n,) of this process -> (R, n) of all, differentiable."""


def synchronise(network: nn.Module, gather: Gather) -> None:
    """From now on a network in training mode normalises with the statistics of all processes.

    It is for batch norms of `ops.candidates.batch_norm` and for mixed cells.
    """
    layers: list[Any] = [layer for layer in network.modules() if hasattr(layer, "gather")]
    for layer in layers:
        layer.gather = gather
        if isinstance(layer, nn.BatchNorm2d):
            layer.__dict__["forward"] = types.MethodType(_forward, layer)


def joint_moments(ys: Sequence[Tensor], gather: Gather) -> tuple[Tensor, Tensor, Tensor]:
    """Means and biased variances (len(ys), C) over the images of all processes, and their count
    B * H * W, a number, in the arithmetic type. One message for all of `ys`, which are alike in
    shape."""
    wide = arithmetic_type(ys[0].dtype)
    moments = [torch.var_mean(y.to(wide), dim=(0, 2, 3), correction=0) for y in ys]
    own_var, own_mean = (torch.stack(part) for part in zip(*moments, strict=True))
    count = own_mean.new_tensor([ys[0].numel() // ys[0].shape[1]])
    rows = gather(torch.cat([count, own_mean.flatten(), own_var.flatten()]))
    n_R = rows[:, 0].detach()
    share_R11 = (n_R / n_R.sum())[:, None, None]
    mean_RSC, var_RSC = rows[:, 1:].view(len(rows), 2, *own_mean.shape).unbind(1)
    mean = (share_R11 * mean_RSC).sum(0)
    var = (share_R11 * (var_RSC + (mean_RSC - mean).square())).sum(0)
    return mean, var, n_R.sum()


def synchronised_node(
    v: Sequence[Tensor],
    y1: Sequence[Tensor],
    y3: Sequence[Tensor],
    w: Tensor,
    eps: float,
    gather: Gather,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`cuda_ext.mixed_op.training_node` with the statistics of all processes.

    Shapes:   v, y1, y3 S times (B, C, H, W); w (S, 5) -> out (B, C, H, W), mean and biased variance
              (S, 2, C), and `bessel` of the count.
    Gradient: to v, y1, y3 and w, through the statistics, of the sum of all processes' losses.
    """
    pairs = [y for both in zip(y1, y3, strict=True) for y in both]
    mean, var, count = joint_moments(pairs, gather)
    scale = torch.rsqrt(var + eps)
    out = torch.zeros_like(v[0])
    for s in range(len(v)):
        out = out + w[s, SKIP] * v[s] + w[s, POOL] * avg_pool3x3(v[s])
        for n, op in ((2 * s, CONV1), (2 * s + 1, CONV3)):
            y = pairs[n].to(mean.dtype)
            normed = (y - mean[n, :, None, None]) * scale[n, :, None, None]
            out = out + w[s, op] * normed.to(pairs[n].dtype)
    shape = (len(v), 2, -1)
    return out, mean.detach().view(shape), var.detach().view(shape), bessel(count)


def bessel(count: Any) -> Any:
    """n / (n - 1), which makes a biased variance of n values unbiased; 1 for one value."""
    if isinstance(count, Tensor):
        return count / (count - 1).clamp_min(1)
    return count / max(count - 1, 1)


def _forward(norm: Any, x: Tensor) -> Tensor:
    """nn.BatchNorm2d's forward with the statistics of all processes in training mode."""
    if not norm.training:
        return F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    mean, var, count = joint_moments([x], norm.gather)
    if norm.recording:  # in the place of this process's own, which `kept_statistics` remembers
        norm.batch_statistics = (mean[0].detach(), var[0].detach())
    if norm.momentum > 0:  # 0 inside kept_statistics
        with torch.no_grad():
            norm.running_mean.lerp_(mean[0], norm.momentum)
            norm.running_var.lerp_(var[0] * bessel(count), norm.momentum)
            norm.num_batches_tracked.add_(1)
    scale, shift = torch.rsqrt(var[0] + norm.eps), mean[0]
    y = (x.to(shift.dtype) - shift[:, None, None]) * scale[:, None, None]
    if norm.affine:
        y = y * norm.weight[:, None, None] + norm.bias[:, None, None]
    return y.to(x.dtype)
