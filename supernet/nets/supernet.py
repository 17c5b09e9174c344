"""The weight-sharing network: every edge of every cell mixes all five operators."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ops.mixed import EdgeWeights, MixedCell, resolve_impl
from supernet.nets.folded import FoldedNetwork, fold_network
from supernet.nets.skeleton import Skeleton


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
    ) -> FoldedNetwork:
        """The same function with frozen BN, folded (`ops.fold`); give x to record batch statistics.

        `sparse` leaves out zero terms: for single cells (always on for six operator numbers).
        """
        if x is not None:
            self.record_statistics(x, w_EO)
        sparse = sparse or isinstance(w_EO, tuple)
        return fold_network(self, w_EO, statistics=statistics, sparse=sparse, impl=self.impl)
