"""Losses that an attack raises, summed over the batch so that no image's gradient depends on B."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits_BK: Tensor, y_B: Tensor) -> Tensor:
    """sum_b -log softmax(logits_b)[y_b], computed in at least float32."""
    return F.cross_entropy(_at_least_float32(logits_BK), y_B, reduction="sum")


def margin_loss(logits_BK: Tensor, y_B: Tensor) -> Tensor:
    """sum_b (max over j != y_b of logits_bj) - logits_b[y_b]: an image is fooled where it is > 0.

    Shapes:   logits (B, K), K >= 2; y (B,) -> scalar.
    Dtypes:   half precision is raised to float32; float32 and float64 stay.
    Gradient: to the logits, never saturating (cross-entropy's vanishes on confident images).
    Raises:   ValueError for K = 1, where there is no other class.
    Source:   Carlini and Wagner 2017, arXiv:1608.04644, f_6 without its hinge.
    """
    if logits_BK.shape[1] < 2:
        raise ValueError("the margin loss needs at least 2 classes, the logits have 1")
    logits_BK = _at_least_float32(logits_BK)
    own_B1 = logits_BK.gather(1, y_B[:, None])
    others_BK = logits_BK.scatter(1, y_B[:, None], -torch.inf)
    return (others_BK.amax(1) - own_B1[:, 0]).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": cross_entropy,
    "margin": margin_loss,
}


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
