"""Every cell that may be the answer, and what gains, free scores and the prior say of it.

A class of isomorphic cells is one network. It stands here with its cheapest member, and its gain is
that of the member that gains most.

Legend: R classes, by row of the benchmark's table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.proxies.ensemble import SUMS, rank_sum
from supernet.proxies.free_scores import parts_of_sums
from supernet.search.derive import Fits, may_be_answer
from supernet.search.gains import gains_of_cells
from supernet.search.prior import normal_scores, prior_scores

Scores = NDArray[np.float64]

FREE, MENU = SUMS["free"], SUMS["menu"]
"""The sums of ranks that order all cells, and cells of like size, without a training. The best cell
by either, 333123, has rank 5, 1 and 2 by PGD-20 8/255 on the three data sets, and among the best
eight is one of rank 1 or 2. Three cells of each size by MENU cover 99.0, 98.5 and 97.8 % of the
true hypervolume, by FREE 98.9, 98.2 and 97.8; one of each size 98.3, 97.7 and 97.1 against 97.3,
96.2 and 93.8. Within a budget that is one of the 26 sizes of cells from 0.13 to 1.53 M parameters,
the best cell by MENU lacks 0.96, 0.51 and 0.25 points in the mean, by FREE 1.31, 0.91 and 0.44."""
FREE_WEIGHT = 0.25
"""Of free scores next to a prior of weight 1, as normal scores. Kendall's tau is 0.83, 0.88 and
0.71 with them on the three data sets, 0.81, 0.87 and 0.70 without. Gains have no weight: with 0.25,
too, it is 0.85 on CIFAR-10, 0.81 on 10,000 images of CIFAR-100 and 0.69 on the stand-in for
ImageNet16-120 (docs/results/proposals)."""


@dataclass(frozen=True)
class Proposals:
    """The classes of the benchmark with their scores; `propose` makes it."""

    table: Table
    cells: Sequence[Genotype]
    """The cheapest member of each class, by row."""
    may_be_R: NDArray[np.bool_]
    """Whether a class may be the answer, by its cheapest member (`derive.may_be_answer`)."""
    scores: Mapping[str, Scores]
    """By name (R,): gains, free, menu, prior, both. Higher is better; one name compares. `propose`
    has their formulas."""
    follows_prior: bool
    """Whether the prior may choose; else `prior` and `both` are there to be looked at."""

    @property
    def guide(self) -> str:
        """The score that orders cells of any size, and that refinement drops neighbours by.

        Of the 18 neighbours of a cell the best half by free scores holds the best one, or one that
        lacks up to 0.03 points in the mean (docs/results/proposals).
        """
        return "both" if self.follows_prior else "free"

    @property
    def menu_guide(self) -> str:
        """The score that orders cells of one size, `none` included."""
        return "prior" if self.follows_prior else "menu"

    def best(self, by: str, number: int = 1) -> list[Genotype]:
        """The `number` cells with the highest scores of those that may be the answer, best first.

        Raises: IndexError where no cell may be the answer.
        """
        rows = np.flatnonzero(self.may_be_R)
        order = np.argsort(-self.scores[by][rows], kind="stable")[:number]
        if not len(order):
            raise IndexError("no cell may be the answer")
        return [self.cells[row] for row in rows[order]]

    def score(self, cell: Genotype, by: str) -> float:
        """The score of any cell, that of its class, whether or not it may be the answer."""
        return float(self.scores[by][self.table.row(cell)])

    def standing(self, by: str) -> Callable[[Genotype], float]:
        """cell -> its score in standard deviations of all classes."""
        deviation = float(self.scores[by].std())
        return lambda cell: self.score(cell, by) / deviation

    def ordered(self, cells: Sequence[Genotype], by: str) -> list[Genotype]:
        """These cells, the highest score first; cells of equal score keep their order."""
        return sorted(cells, key=lambda cell: -self.score(cell, by))


def propose(
    table: Table,
    gains_EO: ArrayLike,
    prior_datasets: Sequence[str],
    *,
    follows_prior: bool,
    robust: bool,
    allow_none: bool,
    fits: Fits | None = None,
) -> Proposals:
    """All classes with their scores by every guide, of one finished search.

    gains: sum_e g[e, op_e], the most that a member has.
    free: the sum of ranks FREE of the shipped scores, within a budget MENU: a budget leaves cells
        of like size to compete.
    menu: the sum of ranks MENU.
    prior: the mean normal score of the table's columns of `prior_datasets`.
    both: prior + FREE_WEIGHT * free, as normal scores.

    Shapes: gains_EO (6, 5).
    """
    cells = [table.order.genotype(int(index)) for index in table.cheapest_members]
    gains_R = class_gains(table, gains_EO)
    parts = parts_of_sums(table)
    menu_R = rank_sum(parts, MENU)
    free_R = rank_sum(parts, FREE) if fits is None else menu_R
    prior_R = prior_scores(table, prior_datasets, robust=robust)
    return Proposals(
        table=table,
        cells=cells,
        may_be_R=np.array([may_be_answer(cell, allow_none, fits) for cell in cells]),
        scores={
            "gains": gains_R,
            "free": free_R,
            "menu": menu_R,
            "prior": prior_R,
            "both": prior_R + FREE_WEIGHT * normal_scores(free_R),
        },
        follows_prior=follows_prior,
    )


def class_gains(table: Table, gains_EO: ArrayLike) -> Scores:
    """(R,) the largest gain that a member of each class has."""
    most_R = np.full(table.size, -np.inf)
    np.maximum.at(most_R, table.row_of, gains_of_cells(table.digits, gains_EO))
    return most_R
