"""DARTS, first order: edge weights are the softmax of alpha."""

from torch import Tensor

from supernet.search.strategies.base import Strategy


class DARTS(Strategy):
    """w[e] = softmax(alpha[e]).

    Source: Liu et al. 2019, arXiv:1806.09055.
    """

    def edge_weights(self) -> Tensor:
        return self.alpha.softmax(dim=1)

    def expected_weights(self) -> Tensor:
        return self.alpha.detach().softmax(dim=1)
