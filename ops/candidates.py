"""The five candidate operators as modules, and the table OPS whose order is alpha's column order.

B images, C channels, H x W pixels; every operator maps (B, C, H, W) to (B, C, H, W), stride 1.
Source: Dong & Yang 2020, arXiv:2001.00326.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BN_EPS = 1e-5
BN_MOMENTUM = 0.1


def batch_norm(C: int, affine: bool) -> nn.BatchNorm2d:
    """nn.BatchNorm2d with eps 1e-5 and momentum 0.1, which can remember batch statistics.

    Inside `kept_statistics(network, record=True)` a forward pass in training mode leaves (mean,
    biased variance), each of shape (C,), in `batch_statistics`, for `ops.fold` to freeze.
    Torch's own class and no subclass: tracers and converters know layers by their class.
    """
    norm: Any = nn.BatchNorm2d(C, eps=BN_EPS, momentum=BN_MOMENTUM, affine=affine)
    norm.recording, norm.batch_statistics, norm.gather = False, None, None
    made: nn.BatchNorm2d = norm
    return made


def scale_shift(norm: Any, statistics: str) -> tuple[Tensor, Tensor]:
    """(a, b), each (C,), such that the frozen normalisation is a * y + b.

    Raises: ValueError for "batch" before a recorded forward pass.
    """
    if statistics == "batch":
        recorded = getattr(norm, "batch_statistics", None)
        if recorded is None:
            raise ValueError("statistics='batch' needs a recorded forward pass: give x")
        mean, var = recorded
    else:
        mean, var = norm.running_mean, norm.running_var
    scale = torch.rsqrt(var + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.detach()
        return scale, norm.bias.detach() - scale * mean
    return scale, -scale * mean


@contextmanager
def kept_statistics(network: nn.Module, record: bool = False) -> Iterator[None]:
    """Forward passes in training mode leave the running statistics as they were.

    With `record`, every batch norm also remembers the batch statistics it used.
    """
    norms: list[Any] = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [
        (norm.momentum, norm.num_batches_tracked, getattr(norm, "recording", False))
        for norm in norms
    ]
    hooks = [norm.register_forward_pre_hook(_remember) for norm in norms] if record else []
    for norm in norms:
        # With momentum 0 the update running += 0 * (batch - running) changes nothing.
        norm.momentum, norm.num_batches_tracked, norm.recording = 0.0, None, record
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm, saved in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked, norm.recording = saved


def _remember(norm: Any, inputs: tuple[Tensor]) -> None:
    if norm.training:
        var, mean = torch.var_mean(inputs[0].detach(), dim=(0, 2, 3), correction=0)
        norm.batch_statistics = (mean, var)


class ReLUConvBN(nn.Module):
    """BN(conv_kxk(relu(x))), padding k // 2, no bias."""

    def __init__(self, C: int, kernel_size: int, affine: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = batch_norm(C, affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(F.relu(x)))


class Zero(nn.Module):
    """The operator `none`: zero, with a zero gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


class AvgPool3x3(nn.Module):
    """Mean over the 3x3 window, stride 1; at the border over the pixels inside the image."""

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool3x3(x)


def avg_pool3x3(x: Tensor) -> Tensor:
    """3x3 average pool, stride 1, padding 1, count_include_pad=False."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


OPS: dict[str, Callable[[int, bool], nn.Module]] = {
    "none": lambda C, affine: Zero(),
    "skip_connect": lambda C, affine: nn.Identity(),
    "nor_conv_1x1": lambda C, affine: ReLUConvBN(C, 1, affine),
    "nor_conv_3x3": lambda C, affine: ReLUConvBN(C, 3, affine),
    "avg_pool_3x3": lambda C, affine: AvgPool3x3(),
}
"""name -> factory(C, affine)."""
