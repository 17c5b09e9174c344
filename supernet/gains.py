"""Operator gains: what each operator of each edge is worth to the trained network, to first order.

g[e, o] = -d L / d w[e, o] at the even mixture, w = 1/5: how fast the objective's loss on held-out
images falls as operator o of edge e gains weight. Nats per unit of weight; higher is better.

Why not alpha: its gradients are taken at alpha's own mixture. There operators that can stand in for
each other share the weight until another bit of either is worth the same, so that the largest
logit says little about which one is better; at the even mixture nothing has been shared out yet.
One pass over a few thousand images also has less noise than the last hundred steps, which is all
that alpha remembers under a strong beta-decay. docs/results/search.md compares both.
"""

import torch
from torch import Tensor

from ops.space import NUM_EDGES, NUM_OPS
from supernet.search import Search

GAIN_IMAGES = 9_600
"""Held-out images that gains are taken on, or all of the alpha half where there are fewer."""


def operator_gains(search: Search, images: int = GAIN_IMAGES) -> Tensor:
    """(6, 5) gains, each row centred: sum_o g[e, o] = 0. The search's weights stay as they are.

    The loss is that of the search's objective, on batches of its own size, with batch statistics as
    in a step of alpha; attacked losses are under alpha's attack on the even mixture. The first
    images of a seeded shuffle of the alpha half, not augmented; what is left of a whole number of
    batches is left out, unless there is but one.
    """
    w_EO = torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS, device=search.device)
    x, y = search.held_out(len(search.alpha_half))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(search.config.seed))
    batches = order[:images].to(search.device).split(search.config.batch_size)
    if len(batches) > 1 and len(batches[-1]) < len(batches[0]):
        batches = batches[:-1]
    total = torch.zeros(NUM_EDGES, NUM_OPS, dtype=torch.float64)
    for batch in batches:
        total -= search.objective_gradient(x[batch], y[batch], w_EO).cpu().double()
    gains = total / len(batches)
    return gains - gains.mean(dim=1, keepdim=True)
