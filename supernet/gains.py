"""Operator gains: what each operator of each edge is worth to the trained network, to first order.

g[e, o] = -d L / d w[e, o] at the even mixture, w = 1/5, less the mean of the edge: how fast the
objective's loss on held-out images falls as operator o of edge e gains weight. Higher is better.

Why not alpha: its gradients are taken at alpha's own mixture. There operators that can stand in for
each other share the weight until another bit of either is worth the same, so that the largest
logit says little about which one is better; at the even mixture nothing has been shared out yet.
One pass over a few thousand images also has less noise than the last hundred steps, which is all
that alpha remembers under a strong beta-decay. docs/results/search.md compares both.

Gains are sums over the network's cells. The last cell is followed by global average pooling, with
batch norm and relu alone between them: pooling there costs next to nothing, and skips are worth
little. It is one cell of fifteen in the benchmark's networks and one of three in a supernet with
N = 1, so its share is kept apart.

Legend: E = 6 edges, O = 5 operators, T terms of the objective.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ops.candidates import kept_statistics
from ops.space import EDGES, NONE, NUM_EDGES, NUM_OPS
from supernet.genotype import Genotype
from supernet.search import Search

GAIN_IMAGES = 9_600
"""Held-out images that gains are taken on, or all of the alpha half where there are fewer."""


class Gains(NamedTuple):
    """Gains (6, 5), float64, each row of mean 0; in nats per unit of weight, but for a pareto
    search, whose objective has no unit."""

    whole: Tensor
    """Of the whole network: what cells are read from."""
    inner: Tensor
    """Without the last cell."""


def operator_gains(search: Search, images: int = GAIN_IMAGES) -> Gains:
    """The gains of a search's supernet. The search stays as it is, its random numbers too.

    G_t = -d L_t / d w_EO, the mean over batches of the search's own size, with batch statistics;
    attacked losses are under alpha's attack on the even mixture. Each row of each G_t is centred
    (weight that one operator gains, others lose), and the objective combines the terms as it
    combines their gradients in a step of alpha; a pareto search by its preference for accuracy. A
    budget's term is left out: it knows size alone, and derivation keeps budgets exactly.

    The images are the first of a seeded shuffle of the alpha half, not augmented; what is left of a
    whole number of batches is left out, unless there is but one.

    Source: the gradient of Liu et al. 2019, arXiv:1806.09055 (first order).
    Differs: with respect to edge weights, at the even mixture and not at alpha's.
    """
    w_EO = torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS, device=search.device)
    terms = search.objective.terms
    totals = torch.zeros(2, len(terms), NUM_EDGES, NUM_OPS, dtype=torch.float64)
    losses_T = torch.zeros(len(terms), dtype=torch.float64)
    batches = _batches(search, images)
    search.net.train()
    inner, last = (w_EO.clone().requires_grad_() for _ in range(2))
    with (
        kept_statistics(search.net),
        _seeded(search.random["attack"], search.config.seed),
        _weights_of_its_own(search.net.cells[-1], last),
    ):
        for batch in batches:
            for t, term in enumerate(search.term_losses(*search.images_at(batch), w_EO)):
                if terms[t] == "excess":
                    continue
                loss = term(inner)
                losses_T[t] += loss.item()
                parts = torch.autograd.grad(loss, (inner, last), materialize_grads=True)
                totals[:, t] -= torch.stack(parts).cpu().double()
    inner_TEO, last_TEO = totals / len(batches)
    inner_TEO, last_TEO = (g - g.mean(dim=2, keepdim=True) for g in (inner_TEO, last_TEO))
    preference = None if search.preferences is None else search.preference.cpu().double()
    _, coefficients_T = search.objective.direction(
        (inner_TEO + last_TEO).flatten(1), losses_T / len(batches), preference
    )
    whole, inner_EO = (
        torch.einsum("t,teo->eo", coefficients_T, g) for g in (inner_TEO + last_TEO, inner_TEO)
    )
    return Gains(whole, inner_EO)


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


@contextlib.contextmanager
def _seeded(generator: torch.Generator, seed: int) -> Iterator[None]:
    """Inside, the generator draws what a fresh one of this seed would."""
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)
