"""Objectives say what alpha improves: the clean loss, the robust loss, or a balance of both.

An objective names its terms and combines their gradients with respect to alpha into one vector;
alpha steps in the opposite direction. Gradients arrive one row per term, with the terms' losses.
T terms, P parameters (30 logits).
"""

import itertools
import math
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
    """The convex combination of gradients with the smallest norm (MGDA).

    c = argmin |sum_t c_t g_t|^2 over c >= 0, sum c = 1; its combination is a direction in which no
    term rises to first order, or zero at a Pareto-stationary point. For T = 2 this is
    gamma = clip(((g2 - g1) . g2) / |g2 - g1|^2, 0, 1) on g1. Exact for any T: the minimum lies
    inside one face of the simplex, and every face (2^T - 1, so T <= 4 in practice) is solved.

    Shapes:   (T, P) -> (T,).
    Source:   Desideri 2012; Sener & Koltun 2018, arXiv:1810.04650.
    Differs:  they iterate Frank-Wolfe for T > 2.
    """
    gram = (gradients_TP @ gradients_TP.T).double()
    T = len(gram)
    best, best_norm = torch.full((T,), 1 / T, dtype=torch.float64), math.inf
    gram_cpu = gram.cpu()
    # Larger faces first: where several are optimal the more even combination wins.
    for size in range(T, 0, -1):
        for face in itertools.combinations(range(T), size):
            c = _min_norm_on_face(gram_cpu[list(face)][:, list(face)])
            if c is None:
                continue
            full = torch.zeros(T, dtype=torch.float64)
            full[list(face)] = c
            norm = float(full @ gram_cpu @ full)
            if norm < best_norm * (1 - 1e-12):
                best, best_norm = full, norm
    return best.to(gradients_TP)


def _min_norm_on_face(gram: Tensor) -> Tensor | None:
    """Minimise c' gram c over sum c = 1 inside the face, or None where it lies outside."""
    # Minimum-norm solution of the KKT system: singular where gradients are parallel.
    n = len(gram)
    scale = gram.diagonal().mean().clamp_min(1e-300)
    kkt = torch.zeros(n + 1, n + 1, dtype=gram.dtype)
    kkt[:n, :n] = gram / scale
    kkt[n, :n] = kkt[:n, n] = 1
    right = torch.zeros(n + 1, dtype=gram.dtype)
    right[n] = 1
    c = (torch.linalg.pinv(kkt, hermitian=True) @ right)[:n]
    if (c < -1e-9).any() or not torch.isclose(c.sum(), c.new_ones(())):
        return None
    c = c.clamp_min(0)
    return c / c.sum()


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
