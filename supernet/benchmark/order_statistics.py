"""The best of n random cells, in closed form.

Legend: R evaluated cells, M = sum of multiplicities (15,625 strings, or R where each counts once).
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from supernet.errors import UserError

Population = Literal["strings", "classes"]
"""What a random draw is uniform over: the 15,625 strings (a plain random search) or the 6,466
classes (one that knows isomorphs)."""


def best_of_probabilities(
    values_R: NDArray[np.float64], weights_R: NDArray[np.int64], n: int, *, replacement: bool = True
) -> NDArray[np.float64]:
    """Probability of each cell to be the best of n random draws.

    With K(v) the number of draws of value v or less, of M in all:
        with replacement:     P(best <= v) = (K(v) / M)^n
        without replacement:  P(best <= v) = C(K(v), n) / C(M, n)
    and a cell's probability is its share, by weight, of P(best <= v) - P(best < v).

    Shapes:  values (R,), weights (R,) how often each cell is in the urn -> (R,), sum 1.
    Raises:  UserError for n < 1, or n > M without replacement.
    Source:  order statistics of a discrete uniform distribution.
    """
    total = int(weights_R.sum())
    if n < 1 or (not replacement and n > total):
        limit = "" if replacement else f" and at most {total:,}"
        raise UserError(f"the number of random cells must be at least 1{limit}, not {n}")
    _, level_R = np.unique(values_R, return_inverse=True)
    weight_of_level = np.bincount(level_R, weights=weights_R)
    below_or_equal = np.cumsum(weight_of_level)
    if replacement:
        cumulative = (below_or_equal / total) ** n
    else:
        cumulative = np.array([_choose_ratio(int(count), total, n) for count in below_or_equal])
    probability_of_level = np.diff(cumulative, prepend=0.0)
    return probability_of_level[level_R] * weights_R / weight_of_level[level_R]


def _choose_ratio(count: int, total: int, n: int) -> float:
    """C(count, n) / C(total, n), through log-gamma: the binomials overflow."""
    if count < n:
        return 0.0
    return math.exp(
        math.lgamma(count + 1)
        - math.lgamma(count - n + 1)
        - math.lgamma(total + 1)
        + math.lgamma(total - n + 1)
    )
