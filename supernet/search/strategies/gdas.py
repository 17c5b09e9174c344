"""GDAS: one operator per edge and step, drawn with Gumbel noise, straight-through gradient."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.mixed import Ops
from supernet.nets.folded import FoldedNetwork
from supernet.nets.supernet import Supernet
from supernet.search.strategies.base import Strategy

TAU_START, TAU_END = 10.0, 0.1


class GDAS(Strategy):
    """w[e] = one-hot of argmax(alpha[e] + Gumbel noise), differentiated as the soft sample at tau.

    Only the drawn operators are computed. The loss's gradient with respect to w is therefore known
    for them alone and counts as zero for the others; the softmax behind the sample carries it to
    all logits of the edge. tau falls linearly from 10 in the first epoch to 0.1 in the last.
    Source:  Dong & Yang 2019, arXiv:1910.04465.
    Differs: the published code adds the weights of operators that were not drawn to a node as
             numbers, which gives them a gradient that depends on no operator; here they get none.
    """

    varies = "gdas computes other operators in every step"
    tau = TAU_START

    def set_progress(self, fraction: float) -> None:
        self.tau = TAU_START + fraction * (TAU_END - TAU_START)

    def edge_weights(self) -> Tensor:
        return F.gumbel_softmax(self.alpha, tau=self.tau, hard=True, dim=1)

    def expected_weights(self) -> Tensor:
        return self.alpha.detach().softmax(dim=1)

    def logits(self, net: Supernet, x: Tensor, w_EO: Tensor) -> Tensor:
        ops = drawn_operators(w_EO)
        w_E = torch.stack([row_O[op] for row_O, op in zip(w_EO, ops, strict=True)])
        return net.forward_cell(x, ops, w_E)

    def fold(self, net: Supernet, w_EO: Tensor) -> FoldedNetwork:
        return net.fold_cell(drawn_operators(w_EO))


def drawn_operators(w_EO: Tensor) -> Ops:
    """The operator of each edge whose weight is 1. On a GPU this waits for the device."""
    return tuple(w_EO.detach().argmax(dim=1).tolist())
