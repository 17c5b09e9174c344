"""Operator gains: the worth of each operator of each edge to the trained network, to first order.

g[e, o] = -d L / d w[e, o] at the even mixture, w = 1/5, less the mean of the edge: how fast the
clean loss on held-out images falls as operator o of edge e gains weight. Higher is better.

The clean loss, whatever alpha follows: of weights trained against attacks. Slopes of a loss under
attack say which operators pass least of the attack on, pooling and skips, long before a network
resists it (docs/results/search/history.md).

Why not alpha: alpha equalises interchangeable operators. At its optimum their marginal values are
equal, so the largest logit does not tell which is better. At the even mixture nothing has been
equalised yet. One pass over a few thousand images also has less noise than the last hundred steps,
which is all that alpha remembers under a strong beta-decay. docs/results/search/history.md compares
both.

Gains are sums over the network's cells. The last cell is followed by global average pooling, with
only batch norm and relu between them: pooling there costs next to nothing, and skips are worth
little. It is one cell of fifteen in the benchmark's networks and one of three in a supernet with
N = 1, so its share is kept apart.

Legend: N cells, E = 6 edges, O = 5 operators.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ops.candidates import kept_statistics
from ops.space import NONE, NUM_EDGES, NUM_OPS
from supernet.attacks.frozen import constant_weights
from supernet.cells.genotype import Genotype
from supernet.cells.live import live_operators
from supernet.distributed import ALONE, Ranks
from supernet.nets.supernet import Supernet
from supernet.precision import exact


class Gains(NamedTuple):
    """Gains (6, 5), float64, each row of mean 0, in nats per unit of weight."""

    whole: Tensor
    """Of the whole network."""
    inner: Tensor
    """Without the last cell."""


@exact()
def operator_gains(
    net: Supernet, batches: Iterable[tuple[Tensor, Tensor]], ranks: Ranks = ALONE
) -> Gains:
    """The gains of a supernet, which stays as it is but for its mode (training).

    L is the mean clean cross-entropy over the batches, with batch statistics. Rows are centred:
    weight that one operator gains, others lose. A budget is not part of it, because derivation
    keeps budgets exactly. Of several processes each has its part of every batch, and all get the
    gains of the whole.

    Shapes: batches of x (B, 3, H, W) float in [0, 1] and y (B,).
    Source: the gradient of Liu et al. 2019, arXiv:1806.09055 (first order).
    Differs: with respect to edge weights, at the even mixture and not at alpha's.
    """
    even_EO = net.classifier.weight.detach().new_full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS)
    inner_EO, last_EO = (even_EO.clone().requires_grad_() for _ in range(2))
    total, count = torch.zeros(2, NUM_EDGES, NUM_OPS, dtype=torch.float64), 0
    net.train()
    with kept_statistics(net), constant_weights(net):
        for x, y in batches:
            loss = F.cross_entropy(net.forward_mixture(x, inner_EO, last_EO), y)
            loss = ranks.weigh(loss, len(y), sum(ranks.gather(len(y))))
            total -= torch.stack(torch.autograd.grad(loss, (inner_EO, last_EO))).cpu().double()
            count += 1
    (total,) = ranks.summed([total / count])
    of_inner, of_last = total - total.mean(dim=2, keepdim=True)
    return Gains(of_inner + of_last, of_inner)


def gain_of(cell: Genotype, gains_EO: Tensor) -> float:
    """sum_e g[e, op_e]: a cell's gain to first order. More is better. `gains_of_cells` has more."""
    return float(gains_of_cells(np.array([cell.ops]), gains_EO)[0])


def gains_of_cells(ops_NE: NDArray[np.integer], gains_EO: ArrayLike) -> NDArray[np.float64]:
    """(N,) sum_e g[e, op_e] of each cell: its gain to first order. More is better.

    An edge that is on no path from input to output counts as `none`, which it equals. A cell
    without any path has the least gain there is, the sum of every edge's least.

    Shapes: ops_NE (N, 6) operator numbers, gains_EO (6, 5) -> (N,) float64.
    """
    gains_EO = np.asarray(gains_EO, dtype=np.float64)
    live_NE = live_operators(ops_NE)
    sums = gains_EO[np.arange(NUM_EDGES), live_NE].sum(axis=1)
    return np.where((live_NE == NONE).all(axis=1), gains_EO.min(axis=1).sum(), sums)
