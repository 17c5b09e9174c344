"""The front that any finished search gives: of every size, the cells that its scores like best."""

from typing import NamedTuple

import numpy as np

from supernet.benchmark.menus import best_of_each_size
from supernet.cells.genotype import Genotype
from supernet.search.proposals import Proposals


class Choice(NamedTuple):
    """A cell of the front."""

    cell: Genotype
    place: int
    """1 for the first choice among the cells of its size, 2 for the second, and so on."""
    score: float


def front_by(proposals: Proposals, by: str, most: int) -> list[Choice]:
    """Of each size that a cell can have, up to `most` cells with the highest scores.

    From small to large, and of one size best first. Sizes do not compete: a size is exact and a
    score is an estimate, so the answer is a menu and not a set of which none dominates another.
    A size is a number of 3x3 and one of 1x1 convolutions, of the cheapest member of a class; both
    parameters and multiply-adds order cells by it alike.
    """
    sizes_R = proposals.table.costs("params", cheapest=True)
    score_R, rows = proposals.scores[by], np.flatnonzero(proposals.may_be_R)
    return [
        Choice(proposals.cells[row], place, float(score_R[row]))
        for same in best_of_each_size(score_R, sizes_R, rows, most)
        for place, row in enumerate(same, start=1)
    ]
