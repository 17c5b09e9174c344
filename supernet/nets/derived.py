"""One cell's own network, as the benchmark trains it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ops.candidates import OPS
from ops.fold import fold_single
from ops.space import OP_NAMES
from supernet.cells.genotype import Genotype
from supernet.nets.folded import FoldedNetwork, fold_network
from supernet.nets.skeleton import Skeleton


class DerivedCell(nn.Module):
    """A cell with one operator per edge."""

    def __init__(self, genotype: Genotype, C: int, affine: bool = True) -> None:
        super().__init__()
        self.C, self.genotype = C, genotype
        self.edges: Any = nn.ModuleList(OPS[OP_NAMES[op]](C, affine) for op in genotype.ops)
        self.drop_path: nn.Module | None = None
        """Drops the output of single edges in training; skip connections stay."""
        self.register_buffer("unit", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        node1 = self._edge(0, x)
        node2 = self._edge(1, x) + self._edge(2, node1)
        return self._edge(3, x) + self._edge(4, node1) + self._edge(5, node2)

    def _edge(self, e: int, x: Tensor) -> Tensor:
        op = self.edges[e]
        y: Tensor = op(x)
        if self.drop_path is None or isinstance(op, nn.Identity):
            return y
        dropped: Tensor = self.drop_path(y)
        return dropped


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

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, 3, H, W) in [0, 1] -> logits (B, K)."""
        return self.forward_head(self.forward_features(x))

    def fold(self, *, x: Tensor | None = None) -> FoldedNetwork:
        """The same function with frozen BN folded away: faster, gradients to the images only.

        BN is frozen at its running statistics, which is eval mode; give x to freeze it at the
        statistics of this clean batch.
        """
        if x is not None:
            self.record_statistics(x)
        statistics = "running" if x is None else "batch"
        return fold_network(
            self,
            lambda stage: [
                fold_single(cell, statistics=statistics) for cell in self.stage_cells(stage)
            ],
            statistics,
        )
