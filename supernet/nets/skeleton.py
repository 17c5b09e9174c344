"""NAS-Bench-201's skeleton around the cells, shared by the supernet and every cell's network.

Images in [0, 1] in, logits out; normalisation is the first layer. B images, K classes.
Skeleton: stem Conv3x3(3->C)+BN without relu; N cells at C; residual block to 2C; N cells at 2C;
residual block to 4C; N cells at 4C; BN, relu, global average pool, linear.
Source: Dong & Yang 2020, arXiv:2001.00326.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ops.candidates import batch_norm, kept_statistics


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
        self.bn1 = batch_norm(C_out, affine=True)
        self.conv2 = nn.Conv2d(C_out, C_out, 3, padding=1, bias=False)
        self.bn2 = batch_norm(C_out, affine=True)
        self.shortcut = nn.Conv2d(C_in, C_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(F.relu(x)))
        y = self.bn2(self.conv2(F.relu(y)))
        return y + self.shortcut(F.avg_pool2d(x, 2))


RunCell = Callable[[Any, Tensor], Tensor]
"""(cell, input) -> output of the cell."""


S = TypeVar("S", bound="Skeleton")


class Skeleton(nn.Module):
    """Everything but the inside of the cells. `make_cell(width)` builds one cell.

    Weights and activations are contiguous until `use_layout` lays them out channels-last, which
    trainings do: tools that look at parameters as vectors need contiguous ones.
    """

    global_pool: str = "avg"
    """How features become one vector: by their mean, or "" where they stay maps."""

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
        if min(C, N) < 1:
            raise ValueError(f"the network has C={C} and N={N}; both must be at least 1")
        check_num_classes(num_classes)
        self.C, self.N, self.num_classes = C, N, num_classes
        self.channels_last = False
        self.train_dtype = torch.float32
        """What convolutions take in training mode; see `convolving_in`."""
        widths = (C, 2 * C, 4 * C)
        self.normalize = Normalize(mean, std)
        self.stem: Any = nn.Sequential(
            nn.Conv2d(3, C, 3, padding=1, bias=False), batch_norm(C, affine=True)
        )
        # Any: a ModuleList gives plain Modules, and these are cells.
        self.cells: Any = nn.ModuleList(make_cell(width) for width in widths for _ in range(N))
        self.reductions = nn.ModuleList(ResidualBlock(c, 2 * c) for c in widths[:2])
        self.last_bn = batch_norm(widths[2], affine=True)
        self.classifier = nn.Linear(widths[2], num_classes)

    def forward_features(self, x: Tensor, run_cell: RunCell | None = None) -> Tensor:
        """Shapes: x (B, 3, H, W) in [0, 1], 4 dividing H and W -> (B, 4C, H/4, W/4), after relu.

        run_cell(cell, x) computes one cell; without it `self.run_cell` does.
        """
        if not self.training or self.train_dtype == torch.float32:
            return self._features(x, run_cell)
        with torch.autocast(x.device.type, self.train_dtype):
            return self._features(x, run_cell).float()

    @contextmanager
    def convolving_in(self, dtype: torch.dtype) -> Iterator[None]:
        """Inside, in training mode, convolutions take `dtype` and give it, and so do the cells.

        Weights and their gradients, the statistics and sums of batch norm, and the classifier stay
        float32.
        """
        before, self.train_dtype = self.train_dtype, dtype
        try:
            yield
        finally:
            self.train_dtype = before

    def _features(self, x: Tensor, run_cell: RunCell | None) -> Tensor:
        x = self.forward_stem(x)
        for stage in range(self.num_stages):
            x = self.forward_stage(x, stage, run_cell)
        return F.relu(self.last_bn(x))

    @property
    def num_stages(self) -> int:
        """Groups of N cells of one width."""
        return len(self.cells) // self.N

    def stage_cells(self, stage: int) -> list[Any]:
        """The cells of a stage."""
        return list(self.cells[stage * self.N : (stage + 1) * self.N])

    def forward_stem(self, x: Tensor) -> Tensor:
        """Shapes: images (B, 3, H, W) in [0, 1] -> (B, C, H, W)."""
        check_images(x)
        return self.stem(self.normalize(self.laid_out(x)))

    def forward_stage(self, x: Tensor, stage: int, run_cell: RunCell | None = None) -> Tensor:
        """The residual block in front of the stage, which the first one has not, and its cells."""
        run = run_cell or self.run_cell
        if stage:
            x = self.reductions[stage - 1](x)
        for number in range(stage * self.N, (stage + 1) * self.N):
            x = run(self.cells[number], x)
        return x

    def run_cell(self, cell: Any, x: Tensor) -> Tensor:
        """One cell, where no other way to run it was given."""
        out: Tensor = cell(x)
        return out

    def forward_head(self, features: Tensor) -> Tensor:
        """Global average pool and classifier: (B, 4C, h, w) -> (B, K)."""
        return self.classifier(features.mean(dim=(2, 3)))

    @torch.no_grad()
    def record_statistics(self, x: Tensor, run_cell: RunCell | None = None) -> None:
        """Remember the batch statistics of images x, for folding with statistics="batch".

        One forward pass with the batch norms alone in training mode, so that nothing is dropped
        out; running statistics and modes stay as they were.
        """
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        modes = [module.training for module in self.modules()]
        self.eval()
        try:
            for norm in norms:
                norm.train()
            with kept_statistics(self, record=True):
                self.forward_features(x, run_cell)
        finally:
            for module, mode in zip(self.modules(), modes, strict=True):
                module.training = mode

    def use_layout(self: S, memory_format: torch.memory_format) -> S:
        """Lay the weights out channels-last (the fast path) or as contiguous NCHW; returns self.

        Channels-last networks lay their images out, too; others take images as they come. Folded
        forms are channels-last whatever is said here.
        """
        self.channels_last = memory_format == torch.channels_last
        return self.to(memory_format=memory_format)

    def laid_out(self, x: Tensor) -> Tensor:
        """Images in the layout of the network."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x


def check_num_classes(num_classes: int) -> None:
    """Raises: ValueError for fewer than two classes."""
    if num_classes < 2:
        raise ValueError(
            f"num_classes is {num_classes}; a network needs at least 2, so that a yes-or-no"
            " question has 2 classes"
        )


@fx.wrap
def check_images(x: Tensor) -> None:
    """Raises: ValueError unless x is (B, 3, H, W) with sides that 4 divides."""
    if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] % 4 or x.shape[3] % 4:
        raise ValueError(
            f"images have shape {tuple(x.shape)}, expected (B, 3, H, W) with H and W divisible by 4"
        )
