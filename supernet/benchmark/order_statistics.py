"""The best of n random cells, in closed form.

Legend: R evaluated cells, M = sum of multiplicities (15,625 strings).
"""

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.table import Table, check_name
from supernet.errors import UserError


def best_of_probabilities(
    values_R: NDArray[np.float64], weights_R: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Probability of each cell to be the best of n random draws with replacement.

    With K(v) the number of strings of value v or less, of M in all: P(best <= v) = (K(v) / M)^n,
    and a cell's probability is its share, by weight, of P(best <= v) - P(best < v).

    Shapes:  values (R,), weights (R,) how often each cell is in the urn -> (R,), sum 1.
    Raises:  UserError for n < 1.
    Source:  order statistics of a discrete uniform distribution.
    """
    if n < 1:
        raise UserError(f"the number of random cells must be at least 1, not {n}")
    _, level_R = np.unique(values_R, return_inverse=True)
    weight_of_level = np.bincount(level_R, weights=weights_R)
    cumulative = (np.cumsum(weight_of_level) / weights_R.sum()) ** n
    probability_of_level = np.diff(cumulative, prepend=0.0)
    return probability_of_level[level_R] * weights_R / weight_of_level[level_R]


def expected_best_of(table: Table, n: int, dataset: str, column: str) -> float:
    """Expected accuracy (fraction) of the best of n random cells.

    Drawn as a plain random search draws: from the 15,625 strings, with replacement.
    """
    check_name("column", column, table.columns)
    values_R = table.values(dataset, column)
    return float(best_of_probabilities(values_R, table.multiplicity, n) @ values_R)
