"""Every cell that may be the answer, and what gains, free scores and the prior say of it.

A class of isomorphic cells is one network. It stands here with its cheapest member, and its gain is
that of the member that gains most.

Legend: R classes, by row of the benchmark's table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ops.space import NONE
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.search.derive import Fits
from supernet.search.gains import gains_of_cells
from supernet.search.prior import normal_scores

Scores = NDArray[np.float64]

GAINS_WITH_FREE = 0.25
GAINS_WITH_PRIOR = 0.1


@dataclass(frozen=True)
class Proposals:
    """The classes of the benchmark with their scores."""

    table: Table
    cells: Sequence[Genotype]
    """The cheapest member of each class, by row."""
    may_be_R: NDArray[np.bool_]
    """Whether a class may be the answer: connected, within the budgets, without `none` unless that
    is allowed."""
    scores: Mapping[str, Scores]
    """By name (R,), higher is better; comparable within a name alone."""

    def best(self, by: str, number: int = 1) -> list[Genotype]:
        """The cells that may be the answer with the highest scores, best first."""
        rows = np.flatnonzero(self.may_be_R)
        order = np.argsort(-self.scores[by][rows], kind="stable")[:number]
        return [self.cells[row] for row in rows[order]]

    def score(self, cell: Genotype, by: str) -> float:
        """The score of any cell: that of its class, whether or not it may be the answer."""
        return float(self.scores[by][self.table.row(cell)])
