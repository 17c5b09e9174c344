"""Operator gains: what each operator of each edge is worth to the trained network, to first order.

g[e, o] = -d L / d w[e, o] at the even mixture, w = 1/5: how fast the objective's loss on held-out
images falls as operator o of edge e gains weight. Nats per unit of weight; higher is better.

Why not alpha: its gradients are taken at alpha's own mixture. There operators that can stand in for
each other share the weight until another bit of either is worth the same, so that the largest
logit says little about which one is better; at the even mixture nothing has been shared out yet.
One pass over a few thousand images also has less noise than the last hundred steps, which is all
that alpha remembers under a strong beta-decay. docs/results/search.md compares both.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ops.space import NUM_EDGES, NUM_OPS
from supernet.genotype import Genotype
from supernet.search import Search

GAIN_IMAGES = 9_600
"""Held-out images that gains are taken on, or all of the alpha half where there are fewer."""


def operator_gains(search: Search, images: int = GAIN_IMAGES, *, last_cell: bool = True) -> Tensor:
    """(6, 5) gains, each row centred: sum_o g[e, o] = 0. The search stays as it is, its random
    numbers too: gains depend on its weights, images, objective and seed alone.

    Without `last_cell` the slope is that of all cells but the last one, which nothing follows but
    global average pooling: there pooling costs next to nothing and skips are worth little. It is
    one cell of fifteen in the benchmark's network, and one of three in a supernet with N = 1.

    The loss is that of the search's objective, on batches of its own size, with batch statistics as
    in a step of alpha; attacked losses are under alpha's attack on the even mixture. The first
    images of a seeded shuffle of the alpha half, not augmented; what is left of a whole number of
    batches is left out, unless there is but one.
    """
    w_EO = torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS, device=search.device)
    order = torch.randperm(
        len(search.alpha_half), generator=torch.Generator().manual_seed(search.config.seed)
    )
    batches = search.alpha_half[order[:images]].split(search.config.batch_size)
    if len(batches) > 1 and len(batches[-1]) < len(batches[0]):
        batches = batches[:-1]
    total = torch.zeros(NUM_EDGES, NUM_OPS, dtype=torch.float64)
    held = contextlib.nullcontext() if last_cell else _held(search.net.cells[-1])
    with held, _seeded(search.random["attack"], search.config.seed):
        for batch in batches:
            total -= search.objective_gradient(*search.images_at(batch), w_EO).cpu().double()
    gains = total / len(batches)
    return gains - gains.mean(dim=1, keepdim=True)


def gain_of(cell: Genotype, gains_EO: Tensor) -> float:
    """sum_e g[e, op_e]: the cell's gain to first order. More is better."""
    return float(sum(gains_EO[edge, op] for edge, op in enumerate(cell.ops)))


@contextlib.contextmanager
def _held(cell: nn.Module) -> Iterator[None]:
    """Inside, no gradient reaches edge weights through this cell."""
    hook = cell.register_forward_pre_hook(lambda _, args: (args[0], args[1].detach(), *args[2:]))
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
