"""Works against the collapse to skips: beta-decay, and measures that show a collapse coming."""

import math

import torch
from torch import Tensor

from ops.space import CONV1, CONV3, NONE, SKIP


@torch.no_grad()
def decay_step(alpha_EO: Tensor, strength: float, lr: float) -> None:
    """One decoupled step of beta-decay: alpha -= lr * strength * (softmax(alpha) - 1/5) / 6.

    Beta-decay is the mean over edges of logsumexp(alpha[e]), whose gradient softmax(alpha) / 6
    pulls the leading operators back most. This is that gradient less its mean over the operators
    of an edge: adding the same number to all logits of an edge changes no weight.

    Source: Ye et al. 2022, arXiv:2203.01665; lambda(t) = scale * t multiplies it there.

    For DrNAS, whose weights are a Dirichlet's with concentration elu(alpha) + 1, this softmax is
    not their mean: the step still pulls the logits of an edge together, but not in proportion to
    the weights.

    Differs: the source adds the term to the loss. Adam then divides by the size of the common part,
    strength / 30, which near uniform weights is far larger than the loss's own gradient, and the
    signal drowns (the weights stay at 0.20 +- 0.005). Decoupled, as weight decay is in AdamW, the
    pull towards uniform keeps its strength and the signal keeps its own scale.
    """
    num_edges, num_ops = alpha_EO.shape
    alpha_EO.sub_(alpha_EO.softmax(dim=1) - 1 / num_ops, alpha=lr * strength / num_edges)


def entropy(w_EO: Tensor) -> float:
    """Mean entropy of the edges' weights over log 5: 1 is uniform, 0 is decided."""
    w = w_EO.detach().double()
    return float(-(w * w.clamp_min(1e-30).log()).sum(dim=1).mean() / math.log(w.shape[1]))


def skip_share(w_EO: Tensor) -> float:
    """Share of edges whose strongest operator is the skip."""
    return float((w_EO.argmax(dim=1) == SKIP).double().mean())


def collapse_warning(w_EO: Tensor) -> str | None:
    """One sentence when the strongest operators look like a collapse, else None.

    Half of the edges or more skips, or no convolution at all: both mark the bottom of the
    benchmark (the all-skip cell has 21 % PGD accuracy, the median cell more than twice that).
    """
    strongest = w_EO.argmax(dim=1).tolist()
    skips = strongest.count(SKIP)
    if skips >= len(strongest) / 2:
        return (
            f"{skips} of {len(strongest)} edges are skips: the search may be collapsing; "
            "raise --beta-decay or lower --alpha-lr"
        )
    if not {CONV1, CONV3} & set(strongest):
        return "no edge is a convolution: the search may be collapsing; train more warm-up epochs"
    return None


def none_warning(w_EO: Tensor) -> str | None:
    """One sentence when `none` leads half of the edges or more, else None.

    It is left out when a cell is read, so that the strongest weight of such an edge says nothing
    about the operator that is taken.
    """
    leads = int((w_EO.argmax(dim=1) == NONE).sum())
    if leads < len(w_EO) / 2:
        return None
    return (
        f"none leads on {leads} of {len(w_EO)} edges and is left out of the cell: these edges take "
        "another operator; train for more epochs, or allow it with --derive-none"
    )
