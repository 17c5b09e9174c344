"""GDAS: one operator per edge and step, drawn with Gumbel noise, straight-through gradient."""

import torch.nn.functional as F
from torch import Tensor

from supernet.search.strategies.base import Strategy

TAU_START, TAU_END = 10.0, 0.1


class GDAS(Strategy):
    """w[e] = one-hot of argmax(alpha[e] + Gumbel noise), differentiated as the soft sample at tau.

    tau falls linearly from 10 in the first epoch to 0.1 in the last.
    Source: Dong & Yang 2019, arXiv:1910.04465.
    Differs: all operators are computed and those not drawn weighted by zero, so that alpha gets the
    exact gradient of the straight-through estimator for every operator; the source computes the
    drawn one alone and is cheaper per step.
    """

    tau = TAU_START

    def set_progress(self, fraction: float) -> None:
        self.tau = TAU_START + fraction * (TAU_END - TAU_START)

    def edge_weights(self) -> Tensor:
        return F.gumbel_softmax(self.alpha, tau=self.tau, hard=True, dim=1)

    def expected_weights(self) -> Tensor:
        return self.alpha.detach().softmax(dim=1)
