"""NAS-Bench-201's skeleton around the cells, shared by the supernet and every cell's network.

Images in [0, 1] in, logits out; normalisation is the first layer. B images, K classes.
Skeleton: stem Conv3x3(3->C)+BN without relu; N cells at C; residual block to 2C; N cells at 2C;
residual block to 4C; N cells at 4C; BN, relu, global average pool, linear.
Source: Dong & Yang 2020, arXiv:2001.00326.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import BatchNorm2d, kept_statistics


class Normalize(nn.Module):
    """(x - mean) / std per colour channel, for images in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class ResidualBlock(nn.Module):
    """C_in -> C_out at half the side: two relu-conv3x3-BN, plus avgpool2x2-conv1x1; no relu out."""

    def __init__(self, C_in: int, C_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(C_in, C_out, 3, stride=2, padding=1, bias=False)
        self.bn1 = BatchNorm2d(C_out, affine=True)
        self.conv2 = nn.Conv2d(C_out, C_out, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(C_out, affine=True)
        self.shortcut = nn.Conv2d(C_in, C_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(F.relu(x)))
        y = self.bn2(self.conv2(F.relu(y)))
        return y + self.shortcut(F.avg_pool2d(x, 2))


RunCell = Callable[[Any, Tensor], Tensor]
"""(cell, input) -> output of the cell."""


def _call(cell: Any, x: Tensor) -> Tensor:
    out: Tensor = cell(x)
    return out


class Skeleton(nn.Module):
    """Everything but the inside of the cells. `make_cell(width)` builds one cell."""

    def __init__(
        self,
        make_cell: Callable[[int], nn.Module],
        *,
        C: int,
        N: int,
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        if min(C, N) < 1 or num_classes < 2:
            raise ValueError(f"C={C}, N={N} must be at least 1 and num_classes={num_classes} 2")
        self.C, self.N, self.num_classes = C, N, num_classes
        widths = (C, 2 * C, 4 * C)
        self.normalize = Normalize(mean, std)
        self.stem: Any = nn.Sequential(
            nn.Conv2d(3, C, 3, padding=1, bias=False), BatchNorm2d(C, affine=True)
        )
        # Any: a ModuleList gives plain Modules, and these are cells.
        self.cells: Any = nn.ModuleList(make_cell(width) for width in widths for _ in range(N))
        self.reductions = nn.ModuleList(ResidualBlock(c, 2 * c) for c in widths[:2])
        self.last_bn = BatchNorm2d(widths[2], affine=True)
        self.classifier = nn.Linear(widths[2], num_classes)

    def forward_features(self, x: Tensor, run_cell: RunCell = _call) -> Tensor:
        """Shapes: x (B, 3, H, W) in [0, 1], 4 dividing H and W -> (B, 4C, H/4, W/4), after relu.

        run_cell(cell, x) computes one cell; without it the cell is called.
        """
        check_images(x)
        x = self.stem(self.normalize(x.contiguous(memory_format=self.memory_format)))
        for number, cell in enumerate(self.cells):
            if number and number % self.N == 0:
                x = self.reductions[number // self.N - 1](x)
            x = run_cell(cell, x)
        return F.relu(self.last_bn(x))

    def forward_head(self, features: Tensor) -> Tensor:
        """Global average pool and classifier: (B, 4C, h, w) -> (B, K)."""
        return self.classifier(features.mean(dim=(2, 3)))

    @torch.no_grad()
    def record_statistics(self, x: Tensor, run_cell: RunCell = _call) -> None:
        """Remember the batch statistics of images x, for folding with statistics="batch".

        One forward pass in training mode; running statistics and modes stay as they were.
        """
        modes = [module.training for module in self.modules()]
        self.train()
        try:
            with kept_statistics(self, record=True):
                self.forward_features(x, run_cell)
        finally:
            for module, mode in zip(self.modules(), modes, strict=True):
                module.training = mode

    def use_layout(self, memory_format: torch.memory_format) -> "Skeleton":
        """Lay weights and activations out channels-last (the fast path, and how a network is made)
        or as contiguous NCHW; returns self. Folded forms are channels-last whatever is said here.
        """
        self.memory_format = memory_format
        return self.to(memory_format=memory_format)


def check_images(x: Tensor) -> None:
    """Raises: ValueError unless x is (B, 3, H, W) with sides that 4 divides."""
    if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] % 4 or x.shape[3] % 4:
        raise ValueError(
            f"images have shape {tuple(x.shape)}, expected (B, 3, H, W) with H and W divisible by 4"
        )
