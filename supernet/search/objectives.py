"""Objectives say what alpha improves: the clean loss, the robust loss, or a balance of both.

An objective names its terms and combines their gradients with respect to alpha into one vector;
alpha steps in the opposite direction. Gradients arrive one row per term, with the terms' losses.
T terms, P parameters (30 logits).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from supernet.errors import UserError


@dataclass(frozen=True)
class Objective:
    """Terms ("clean", "robust") and the rule that combines their gradients."""

    terms: tuple[str, ...]
    combine: Callable[[Tensor], Tensor]
    """gradients (T, P) -> coefficients (T,), non-negative."""

    def direction(self, gradients_TP: Tensor) -> tuple[Tensor, Tensor]:
        """(combined gradient (P,), coefficients (T,))."""
        coefficients = self.combine(gradients_TP)
        return coefficients @ gradients_TP, coefficients


def min_norm_coefficients(gradients_TP: Tensor) -> Tensor:
    """The convex combination of one or two gradients with the smallest norm (MGDA).

    gamma = clip(((g2 - g1) . g2) / |g2 - g1|^2, 0, 1) on g1 and 1 - gamma on g2; of equal gradients
    half of each. The combination is a direction in which neither term rises to first order, or zero
    at a Pareto-stationary point. Everything is computed where the gradients are.

    Shapes:   (T, P) -> (T,), T at most 2.
    Source:   Desideri 2012; Sener & Koltun 2018, arXiv:1810.04650, for T = 2.
    """
    if len(gradients_TP) == 1:
        return gradients_TP.new_ones(1)
    g1, g2 = gradients_TP.double()
    between = g2 - g1
    distance = between @ between
    gamma = ((between @ g2) / distance).clamp(0, 1)
    gamma = torch.where(distance > 0, gamma, 0.5)
    return torch.stack([gamma, 1 - gamma]).to(gradients_TP)


def conflict_angle(g1: Tensor, g2: Tensor) -> Tensor:
    """Angle between two gradients in degrees; above 90 they conflict. 90 where one is zero."""
    cosine = torch.nan_to_num((g1 @ g2) / (g1.norm() * g2.norm()))
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))


def _weighted(terms: Sequence[str], robust_weight: float) -> Objective:
    """(1 - robust_weight) * clean + robust_weight * robust, of the terms there are."""
    weight = {"clean": 1 - robust_weight, "robust": robust_weight}
    coefficients = [weight[name] for name in terms] if len(terms) > 1 else [1.0]

    def combine(gradients_TP: Tensor) -> Tensor:
        # Filled on the device: a tensor of Python's numbers would be copied there.
        return torch.stack([gradients_TP.new_full((), c) for c in coefficients])

    return Objective(tuple(terms), combine)


def _mgda(terms: Sequence[str], robust_weight: float) -> Objective:
    """The direction of least norm, in which neither loss rises."""
    return Objective(tuple(terms), min_norm_coefficients)


OBJECTIVES: dict[str, Callable[[Sequence[str], float], Objective]] = {
    "weighted": _weighted,
    "mgda": _mgda,
}
"""name -> factory(terms, robust_weight)."""


def make_objective(name: str, terms: Sequence[str], robust_weight: float = 0.5) -> Objective:
    """Build an objective of OBJECTIVES over these terms.

    Raises: UserError for an unknown name, listing the good ones.
    """
    if name not in OBJECTIVES:
        raise UserError(f"objective '{name}' is unknown; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](terms, robust_weight)
