"""Operator gains: what each operator of each edge is worth to the trained network, to first order.

g[e, o] = -d L / d w[e, o] at the even mixture, w = 1/5, less the mean of the edge: how fast the
clean loss on held-out images falls as operator o of edge e gains weight. Higher is better.

The clean loss, whatever alpha follows: of weights trained against attacks. Slopes of a loss under
attack say which operators pass least of the attack on, pooling and skips, long before a network
resists it (docs/results/search.md).

Why not alpha: its gradients are taken at alpha's own mixture. There operators that can stand in for
each other share the weight until another bit of either is worth the same, so that the largest
logit says little about which one is better; at the even mixture nothing has been shared out yet.
One pass over a few thousand images also has less noise than the last hundred steps, which is all
that alpha remembers under a strong beta-decay. docs/results/search.md compares both.

Gains are sums over the network's cells. The last cell is followed by global average pooling, with
batch norm and relu alone between them: pooling there costs next to nothing, and skips are worth
little. It is one cell of fifteen in the benchmark's networks and one of three in a supernet with
N = 1, so its share is kept apart.

Legend: E = 6 edges, O = 5 operators.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import kept_statistics
from ops.space import EDGES, NONE, NUM_EDGES, NUM_OPS
from supernet.cells.genotype import Genotype
from supernet.search.search import Search

GAIN_IMAGES = 9_600
"""Held-out images that gains are taken on, or all of the alpha half where there are fewer."""


class Gains(NamedTuple):
    """Gains (6, 5), float64, each row of mean 0, in nats per unit of weight."""

    whole: Tensor
    """Of the whole network."""
    inner: Tensor
    """Without the last cell."""


def operator_gains(search: Search, images: int = GAIN_IMAGES) -> Gains:
    """The gains of a search's supernet, which stays as it is.

    L is the mean clean cross-entropy over batches of the search's own size, with batch statistics,
    plus config.size_weight times the mixture's expected cost where the objective has that. Rows are
    centred: weight that one operator gains, others lose. A budget is no part of it, as derivation
    keeps budgets exactly.

    The images are the first of a seeded shuffle of the alpha half, not augmented; what is left of a
    whole number of batches is left out, unless there is but one.

    Source: the gradient of Liu et al. 2019, arXiv:1806.09055 (first order).
    Differs: with respect to edge weights, at the even mixture and not at alpha's.
    """
    w_EO = torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS, device=search.device)
    inner, last = (w_EO.clone().requires_grad_() for _ in range(2))
    total = torch.zeros(2, NUM_EDGES, NUM_OPS, dtype=torch.float64)
    batches = _batches(search, images)
    # Elsewhere it means something else: epsilon.
    size_weight = search.config.size_weight if "size" in search.objective.terms else 0.0
    search.net.train()
    with kept_statistics(search.net), _weights_of_its_own(search.net.cells[-1], last):
        for batch in batches:
            x, y = search.images_at(batch)
            loss = F.cross_entropy(search.net(x, inner), y)
            loss = loss + size_weight * search.expected_cost(inner)
            total -= torch.stack(torch.autograd.grad(loss, (inner, last))).cpu().double()
    total /= len(batches)
    of_inner, of_last = total - total.mean(dim=2, keepdim=True)
    return Gains(of_inner + of_last, of_inner)


def gain_of(cell: Genotype, gains_EO: Tensor) -> float:
    """sum_e g[e, op_e]: a cell's gain to first order. More is better.

    An edge that is on no path from input to output counts as `none`, which it equals. A cell
    without any path has the least gain there is, the sum of every edge's least.
    """
    if not cell.is_connected:
        return float(gains_EO.min(dim=1).values.sum())
    return float(sum(gains_EO[edge, op] for edge, op in enumerate(_live_ops(cell))))


def _live_ops(cell: Genotype) -> list[int]:
    """The cell's operators, `none` on edges that nothing reaches or that lead nowhere."""
    ops = list(cell.ops)
    for _ in EDGES:  # a dead edge can leave others dead: at most a chain of all
        fed = {0, *(target for (target, _), op in zip(EDGES, ops, strict=True) if op != NONE)}
        used = {3, *(source for (_, source), op in zip(EDGES, ops, strict=True) if op != NONE)}
        ops = [
            op if source in fed and target in used else NONE
            for (target, source), op in zip(EDGES, ops, strict=True)
        ]
    return ops


def _batches(search: Search, images: int) -> tuple[Tensor, ...]:
    order = torch.randperm(
        len(search.alpha_half), generator=torch.Generator().manual_seed(search.config.seed)
    )
    batches = search.alpha_half[order[:images]].split(search.config.batch_size)
    if len(batches) > 1 and len(batches[-1]) < len(batches[0]):
        batches = batches[:-1]
    return batches


@contextlib.contextmanager
def _weights_of_its_own(cell: nn.Module, w_EO: Tensor) -> Iterator[None]:
    """Inside, this cell runs with w_EO, whatever edge weights it is given."""
    hook = cell.register_forward_pre_hook(lambda _, args: (args[0], w_EO, *args[2:]))
    try:
        yield
    finally:
        hook.remove()
