"""The five candidate operators as modules, and the table OPS whose order is alpha's column order.

B images, C channels, H x W pixels; every operator maps (B, C, H, W) to (B, C, H, W), stride 1.
Source: Dong & Yang 2020, arXiv:2001.00326.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BN_EPS = 1e-5
BN_MOMENTUM = 0.1


class BatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d (eps 1e-5, momentum 0.1) that can remember the batch statistics it used.

    Inside `kept_statistics(network, record=True)` a forward pass in training mode leaves (mean,
    biased variance), each of shape (C,), in `batch_statistics`, for `ops.fold` to freeze.
    """

    recording: bool = False
    batch_statistics: tuple[Tensor, Tensor] | None = None

    def __init__(self, num_features: int, affine: bool) -> None:
        super().__init__(num_features, eps=BN_EPS, momentum=BN_MOMENTUM, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        if self.recording and self.training:
            var, mean = torch.var_mean(x.detach(), dim=(0, 2, 3), correction=0)
            self.batch_statistics = (mean, var)
        return super().forward(x)

    def scale_shift(self, statistics: str) -> tuple[Tensor, Tensor]:
        """(a, b), each (C,), such that the frozen normalisation is a * y + b.

        Raises: ValueError for "batch" before a recorded forward pass.
        """
        if statistics == "batch":
            if self.batch_statistics is None:
                raise ValueError("statistics='batch' needs a recorded forward pass: give x")
            mean, var = self.batch_statistics
        else:
            assert self.running_mean is not None and self.running_var is not None
            mean, var = self.running_mean, self.running_var
        scale = torch.rsqrt(var + self.eps)
        if self.affine:
            scale = scale * self.weight.detach()
            return scale, self.bias.detach() - scale * mean
        return scale, -scale * mean


@contextmanager
def kept_statistics(network: nn.Module, record: bool = False) -> Iterator[None]:
    """Forward passes in training mode leave the running statistics as they were.

    With `record`, every BatchNorm2d also remembers the batch statistics it used.
    """
    norms = [m for m in network.modules() if isinstance(m, BatchNorm2d)]
    before = [(norm.momentum, norm.num_batches_tracked, norm.recording) for norm in norms]
    for norm in norms:
        # With momentum 0 the update running += 0 * (batch - running) changes nothing.
        norm.momentum, norm.num_batches_tracked, norm.recording = 0.0, None, record
    try:
        yield
    finally:
        for norm, saved in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked, norm.recording = saved


class ReLUConvBN(nn.Module):
    """BN(conv_kxk(relu(x))), padding k // 2, no bias."""

    def __init__(self, C: int, kernel_size: int, affine: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = BatchNorm2d(C, affine)

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
