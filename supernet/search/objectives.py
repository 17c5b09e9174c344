"""What alpha is asked to improve: clean loss, robust loss, size, and ways to weigh them.

An objective names its terms and turns their gradients with respect to alpha into one direction of
ascent of the loss (alpha steps against it). Gradients arrive per term, flattened together as rows,
with the terms' losses. T terms, P parameters (30 logits).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.space import CONV1, CONV3, NUM_EDGES
from supernet.cells.cost import Cost
from supernet.errors import UserError
from supernet.search.preference import AlphaOfPreference, FixedPreferences, Preferences


@dataclass(frozen=True)
class Objective:
    """Terms ("clean", "robust", "size", "excess") and the rule that combines their gradients."""

    terms: tuple[str, ...]
    combine: Callable[[Tensor, Tensor], Tensor]
    """gradients (T, P), losses (T,) -> coefficients (T,), non-negative."""
    preferences: Callable[[], Preferences] | None = None
    """What makes alpha a function of a preference; each step draws one, and multiplies the
    coefficients with it."""

    def direction(
        self, gradients_TP: Tensor, losses_T: Tensor, preference_T: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(combined gradient (P,), coefficients (T,))."""
        coefficients = self.combine(gradients_TP, losses_T)
        if preference_T is not None:
            coefficients = coefficients * preference_T
        return coefficients @ gradients_TP, coefficients


CHEBYSHEV_MU = 0.1
"""Smoothing of the Chebyshev objective, in the units of a weighed loss (nats). A term that is worse
than another by 3 mu = 0.3 has 95 % of the weight of the two."""


def smooth_chebyshev(losses_T: Tensor, lambda_T: Tensor, mu: float) -> Tensor:
    """mu * logsumexp_t(lambda_t (L_t - z_t) / mu), which falls to max_t lambda_t (L_t - z_t).

    It exceeds the maximum by at most mu log T. The ideal point z is 0: cross-entropies and costs
    are non-negative, and 0 is what a perfect network without parameters would have. Its gradient,
    lambda_t * softmax_t(lambda L / mu), are the coefficients of the objective.

    Shapes: (T,), (T,) -> ().
    Source: Lin et al. 2024, arXiv:2402.19078.
    """
    return mu * (lambda_T * losses_T / mu).logsumexp(dim=0)


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


def expected_cost(
    w_EO: Tensor, metric: str, *, num_classes: int, image_size: int, C: int, N: int
) -> Tensor:
    """E[cost] of a cell drawn edge by edge from w_EO, over the cost of the all-3x3 cell, in [0, 1].

    E[cost] = base + a * sum_e w[e, 1x1] + b * sum_e w[e, 3x3], exact, since cost is linear in the
    operators (`supernet.cells.cost.Cost`). `base`, common to all cells, is left out of both.

    Shapes: (6, 5) -> ().
    Units:  metric "params" or "flops"; the result has none.
    """
    _, conv1, conv3 = _linear_cost(metric, num_classes, image_size, C, N)
    total = conv1 * w_EO[:, CONV1].sum() + conv3 * w_EO[:, CONV3].sum()
    return total / (conv3 * len(w_EO))


def cost_share(cost: float, metric: str, *, num_classes: int, image_size: int) -> float:
    """A cost of the stand-alone network (C=16, N=5) in the units of `expected_cost`: 0 is a cell
    without convolutions, 1 the all-3x3 cell. Negative for what no cell has."""
    base, _, conv3 = _linear_cost(metric, num_classes, image_size, 16, 5)
    return (cost - base) / (conv3 * NUM_EDGES)


def _linear_cost(
    metric: str, num_classes: int, image_size: int, C: int, N: int
) -> tuple[int, int, int]:
    if metric == "params":
        return Cost.params(num_classes, C, N)
    if metric == "flops":
        return Cost.flops(num_classes, image_size, C, N)
    raise ValueError(f"size metric '{metric}' is unknown; choose params or flops")


def conflict_angle(g1: Tensor, g2: Tensor) -> Tensor:
    """Angle between two gradients in degrees; above 90 they conflict. 90 where one is zero."""
    cosine = torch.nan_to_num((g1 @ g2) / (g1.norm() * g2.norm()))
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))


def _fixed(*coefficients: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda gradients_TP, losses_T: gradients_TP.new_tensor(coefficients)


def _clean(robust_weight: float, size_weight: float) -> Objective:
    return _with_size(("clean",), (1.0,), size_weight)


def _robust(robust_weight: float, size_weight: float) -> Objective:
    return _with_size(("robust",), (1.0,), size_weight)


def _weighted(robust_weight: float, size_weight: float) -> Objective:
    return _with_size(("clean", "robust"), (1 - robust_weight, robust_weight), size_weight)


def _mgda(robust_weight: float, size_weight: float) -> Objective:
    terms = ("clean", "robust") + (("size",) if size_weight else ())
    # A term's weight scales its gradient: the trade-off that min-norm starts from.
    scale = (1.0, 1.0, size_weight)[: len(terms)]

    def combine(gradients_TP: Tensor, losses_T: Tensor) -> Tensor:
        factors = gradients_TP.new_tensor(scale)
        return factors * min_norm_coefficients(factors[:, None] * gradients_TP)

    return Objective(terms, combine)


def _chebyshev(robust_weight: float, size_weight: float) -> Objective:
    weighted = _weighted(robust_weight, size_weight)

    def combine(gradients_TP: Tensor, losses_T: Tensor) -> Tensor:
        lambda_T = weighted.combine(gradients_TP, losses_T)
        return torch.func.grad(smooth_chebyshev)(losses_T, lambda_T, CHEBYSHEV_MU)

    return Objective(weighted.terms, combine)


EXCESS_WEIGHT = 10.0
"""Of the expected cost above the budget. A hinge is an exact penalty: from some weight on its
minimum meets the budget."""


def _epsilon(robust_weight: float, size_weight: float) -> Objective:
    """robust + weight * max(0, E[cost] - budget); the caller's "excess" term is the maximum."""
    return Objective(("robust", "excess"), _fixed(1.0, size_weight or EXCESS_WEIGHT))


def _pareto(
    robust_weight: float,
    size_weight: float,
    preferences: Callable[[], Preferences] = AlphaOfPreference,
) -> Objective:
    """sum_t lambda_t g_t / |g_t|: of unit length, or lambda would mean what the terms' scales say.

    They drift apart: on the embedded digits the clean loss's gradient becomes a third as long in
    six epochs, the size's stays as it is.
    """

    def combine(gradients_TP: Tensor, losses_T: Tensor) -> Tensor:
        return gradients_TP.norm(dim=1).clamp_min(1e-12).reciprocal()

    return Objective(("clean", "robust", "size"), combine, preferences)


def _pareto_fixed(robust_weight: float, size_weight: float) -> Objective:
    return _pareto(robust_weight, size_weight, FixedPreferences)


def _with_size(terms: tuple[str, ...], weights: Sequence[float], size_weight: float) -> Objective:
    if size_weight:
        terms, weights = (*terms, "size"), (*weights, size_weight)
    return Objective(terms, _fixed(*weights))


OBJECTIVES: dict[str, Callable[[float, float], Objective]] = {
    "clean": _clean,
    "robust": _robust,
    "weighted": _weighted,
    "mgda": _mgda,
    "chebyshev": _chebyshev,
    "epsilon": _epsilon,
    "pareto": _pareto,
    "pareto_fixed": _pareto_fixed,
}
"""name -> factory(robust_weight, size_weight)."""


def make_objective(name: str, *, robust_weight: float = 0.5, size_weight: float = 0.0) -> Objective:
    """Build an objective of OBJECTIVES.

    Raises: UserError for an unknown name, listing the good ones.
    """
    if name not in OBJECTIVES:
        raise UserError(f"objective '{name}' is unknown; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](robust_weight, size_weight)
