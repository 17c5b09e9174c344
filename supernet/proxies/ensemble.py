"""Sums of ranks: several scores that need no training, as one. No torch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

SUMS: dict[str, dict[str, float]] = {
    "params+jacob_cov": {"params": 1, "jacob_cov": 1},
    "free": {
        "params": 2, "jacob_cov": 2, "synflow": 2, "az_progressivity": 1, "az_trainability": 1,
    },
    "ensemble": {
        "params": 2, "jacob_cov": 2, "synflow": 2,
        "az_progressivity": 1, "az_trainability": 1, "az_expressivity": 1,
    },
    "menu": {"params": 1, "jacob_cov": 1, "synflow": 2, "az_progressivity": 1},
}  # fmt: skip
"""Name -> weights. A search orders all cells by `free`, and cells of like size, on its menu and
within a budget, by `menu`. `ensemble` orders all cells a little better than `free`, but the cell
that it likes best is worse."""


def rank_sum(scores: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """sum_k w_k (r_k - 1/2) / n over sum_k w_k: the weighted mean of the cells' relative ranks.

    r_k is a cell's rank among the n cells by score k: 1 is the lowest score, and cells with equal
    scores share their mean rank. Higher is better, in every score and in the sum, which lies
    between 0 and 1; a cell that is in the middle of every ranking has 1/2. Scores that `weights`
    does not name are left out.

    Shapes: scores (n,) each -> (n,). Raises: KeyError for a score that is not there.
    """
    ranks = {name: stats.rankdata(scores[name]) for name in weights}
    total = sum(weight * (ranks[name] - 0.5) / len(ranks[name]) for name, weight in weights.items())
    return np.asarray(total / sum(weights.values()))
