"""The supernet, the stand-alone derived network, and their common skeleton (NAS-Bench-201's).

Images in [0, 1] in, logits out; normalisation is the first layer. B images, K classes.
Skeleton: stem Conv3x3(3->C)+BN without relu; N cells at C; residual block to 2C; N cells at 2C;
residual block to 4C; N cells at 4C; BN, relu, global average pool, linear.
Source: Dong & Yang 2020, arXiv:2001.00326.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import OPS, BatchNorm2d, kept_statistics
from ops.mixed import EdgeWeights, MixedCell, resolve_impl
from ops.space import NUM_EDGES, OP_NAMES
from supernet.genotype import Genotype

if TYPE_CHECKING:
    from supernet.folded import FoldedNetwork


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


class DerivedCell(nn.Module):
    """A cell with one operator per edge."""

    def __init__(self, genotype: Genotype, C: int, affine: bool = True) -> None:
        super().__init__()
        self.C, self.genotype = C, genotype
        self.edges: Any = nn.ModuleList(OPS[OP_NAMES[op]](C, affine) for op in genotype.ops)
        self.register_buffer("unit", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        node1 = self.edges[0](x)
        node2 = self.edges[1](x) + self.edges[2](node1)
        return self.edges[3](x) + self.edges[4](node1) + self.edges[5](node2)


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

    def forward_features(self, x: Tensor, *cell_arguments: Any) -> Tensor:
        """Shapes: x (B, 3, H, W) in [0, 1], 4 dividing H and W -> (B, 4C, H/4, W/4), after relu."""
        check_images(x)
        x = self.stem(self.normalize(x.contiguous(memory_format=self.memory_format)))
        for number, cell in enumerate(self.cells):
            if number and number % self.N == 0:
                x = self.reductions[number // self.N - 1](x)
            x = cell(x, *cell_arguments)
        return F.relu(self.last_bn(x))

    def forward_head(self, features: Tensor) -> Tensor:
        """Global average pool and classifier: (B, 4C, h, w) -> (B, K)."""
        return self.classifier(features.mean(dim=(2, 3)))

    @torch.no_grad()
    def record_statistics(self, x: Tensor, *cell_arguments: Any) -> None:
        """Remember the batch statistics of images x, for folding with statistics="batch".

        One forward pass in training mode; running statistics and modes stay as they were.
        """
        modes = [module.training for module in self.modules()]
        self.train()
        try:
            with kept_statistics(self, record=True):
                self(x, *cell_arguments)
        finally:
            for module, mode in zip(self.modules(), modes, strict=True):
                module.training = mode

    def use_layout(self, memory_format: torch.memory_format) -> "Skeleton":
        """Lay weights and activations out channels-last (the fast path, and how a network is made)
        or as contiguous NCHW; returns self. Folded forms are channels-last whatever is said here.
        """
        self.memory_format = memory_format
        return self.to(memory_format=memory_format)


class Supernet(Skeleton):
    """The weight-sharing network: every edge of every cell mixes all five operators.

    Edge weights are an argument, so that any strategy, a one-hot cell or a whole distribution of
    cells can be put through the same weights. Searchable BN is affine=False by default.
    `impl` is that of `ops.mixed.MixedCell`.
    """

    def __init__(
        self,
        *,
        C: int = 16,
        N: int = 5,
        num_classes: int = 10,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        affine: bool = False,
        impl: str = "auto",
    ) -> None:
        super().__init__(
            lambda width: MixedCell(width, affine),
            C=C, N=N, num_classes=num_classes, mean=mean, std=std,
        )  # fmt: skip
        resolve_impl(impl)  # refuses what cannot run; "auto" is settled by the device of the images
        self.impl = impl
        self.use_layout(torch.channels_last)

    def forward(self, x: Tensor, w_EO: EdgeWeights) -> Tensor:
        """Shapes: x (B, 3, H, W) in [0, 1], w_EO (6, 5) -> logits (B, K).

        Six operator numbers (`Genotype.ops`) instead of w_EO run that one cell alone.
        """
        return self.forward_head(self.forward_features(x, w_EO, self.impl))

    def fold(
        self,
        w_EO: EdgeWeights,
        *,
        statistics: str = "running",
        x: Tensor | None = None,
        sparse: bool = False,
    ) -> "FoldedNetwork":
        """The same function with frozen BN, folded (`ops.fold`); give x to record batch statistics.

        `sparse` leaves out zero terms: for single cells (always on for six operator numbers).
        """
        from supernet.folded import fold_network

        if x is not None:
            self.record_statistics(x, w_EO)
        sparse = sparse or isinstance(w_EO, tuple)
        return fold_network(self, w_EO, statistics=statistics, sparse=sparse, impl=self.impl)


class DerivedNetwork(Skeleton):
    """The stand-alone network of one cell, exactly NAS-Bench-201's: BN affine and tracking."""

    def __init__(
        self,
        genotype: Genotype,
        *,
        C: int = 16,
        N: int = 5,
        num_classes: int = 10,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        affine: bool = True,
    ) -> None:
        super().__init__(
            lambda width: DerivedCell(genotype, width, affine),
            C=C, N=N, num_classes=num_classes, mean=mean, std=std,
        )  # fmt: skip
        self.genotype = genotype
        self.use_layout(torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, 3, H, W) in [0, 1] -> logits (B, K)."""
        return self.forward_head(self.forward_features(x))

    def fold(self, *, statistics: str = "running", x: Tensor | None = None) -> "FoldedNetwork":
        """The same function with frozen BN folded away: faster, gradients to the images only.

        With running statistics this is eval mode; give x to record batch statistics.
        """
        from supernet.folded import fold_network

        if x is not None:
            self.record_statistics(x)
        return fold_network(self, statistics=statistics, sparse=True)


def inherit(supernet: Supernet, genotype: Genotype) -> DerivedNetwork:
    """The derived network of a cell with the supernet's weights and running statistics.

    Its searchable BN is as affine as the supernet's. In eval mode it equals the supernet with
    one-hot edge weights.
    """
    affine = supernet.cells[0].affine
    network = DerivedNetwork(
        genotype,
        C=supernet.C,
        N=supernet.N,
        num_classes=supernet.num_classes,
        mean=supernet.normalize.mean.flatten().tolist(),
        std=supernet.normalize.std.flatten().tolist(),
        affine=affine,
    )
    network.to(supernet.classifier.weight.device, supernet.classifier.weight.dtype)
    state = supernet.state_dict()
    for mixed, derived in zip(supernet.cells, network.cells, strict=True):
        for edge in range(NUM_EDGES):
            source = mixed.edges[edge].ops[genotype.ops[edge]]
            derived.edges[edge].load_state_dict(source.state_dict())
    rest = {name: value for name, value in state.items() if not name.startswith("cells.")}
    missing, unexpected = network.load_state_dict(rest, strict=False)
    assert not unexpected and all(name.startswith("cells.") for name in missing)
    return network


def one_hot(genotype: Genotype, like: Tensor) -> Tensor:
    """Edge weights (6, 5) that select one cell, with the dtype and device of `like`."""
    index = torch.tensor(genotype.ops, device=like.device)
    return F.one_hot(index, len(OP_NAMES)).to(like.dtype)


def check_images(x: Tensor) -> None:
    """Raises: ValueError unless x is (B, 3, H, W) with sides that 4 divides."""
    if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] % 4 or x.shape[3] % 4:
        raise ValueError(
            f"images have shape {tuple(x.shape)}, expected (B, 3, H, W) with H and W divisible by 4"
        )
