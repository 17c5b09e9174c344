"""DrNAS: edge weights are drawn from a Dirichlet distribution whose concentration is learnt."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from supernet.search.strategies.base import Strategy

KL_WEIGHT = 1e-3


class DrNAS(Strategy):
    """w[e] ~ Dirichlet(elu(alpha[e]) + 1), with the pathwise gradient; mean = beta / sum(beta).

    The regulariser 1e-3 * sum_e KL(Dirichlet(beta[e]) | Dirichlet(1)) anchors the concentration at
    the uniform distribution over weights, where alpha = 0 starts.
    Source: Chen et al. 2021, arXiv:2006.10355.
    """

    def concentration(self) -> Tensor:
        """beta = elu(alpha) + 1, positive. The floor keeps sampling finite in float32."""
        return (F.elu(self.alpha) + 1).clamp_min(1e-3)

    def edge_weights(self) -> Tensor:
        return _dirichlet(self.concentration()).rsample()

    def expected_weights(self) -> Tensor:
        beta = self.concentration().detach()
        return beta / beta.sum(dim=1, keepdim=True)

    def regulariser(self) -> Tensor:
        beta = self.concentration()
        return KL_WEIGHT * kl_divergence(_dirichlet(beta), _dirichlet(torch.ones_like(beta))).sum()


def _dirichlet(concentration: Tensor) -> Dirichlet:
    # Validation reads values, and the host would wait; the clamp above keeps them positive.
    return Dirichlet(concentration, validate_args=False)
