"""The front that any finished search gives: of every size, the cells that its scores like best."""

from typing import NamedTuple

import numpy as np

from supernet.benchmark.menus import best_of_each_size
from supernet.cells.genotype import Genotype
from supernet.search.proposals import Proposals

PER_SIZE = 3
"""Cells of each size on the menu. By free scores the first choices alone cover 98.3, 97.7 and
97.1 % of the true hypervolume on the three data sets, two of each size 98.8, 98.1 and 97.6, three
99.0, 98.5 and 97.8 (docs/results/proposals)."""


class Choice(NamedTuple):
    """A cell of the front."""

    cell: Genotype
    place: int
    """1 for the first choice among the cells of its size, 2 for the second, and so on."""
    score: float


def front_by(proposals: Proposals, by: str, most: int = PER_SIZE) -> list[Choice]:
    """Of each size that a cell can have, up to `most` cells with the highest scores.

    From small to large, and of one size best first. Sizes do not compete: a size is exact and a
    score is an estimate, so the answer is a menu and not a set of which none dominates another.
    A size is a number of 3x3 and one of 1x1 convolutions, of the cheapest member of a class: both
    parameters and multiply-adds order cells by it alike.
    """
    sizes_R = proposals.table.costs("params", cheapest=True)
    score_R, rows = proposals.scores[by], np.flatnonzero(proposals.may_be_R)
    chosen = zip(*best_of_each_size(score_R, sizes_R, rows, most), strict=True)
    return [Choice(proposals.cells[row], int(place), float(score_R[row])) for row, place in chosen]
