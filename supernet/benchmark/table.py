"""NAS-RobBench-201 as a table: values, ranks, percentiles and regret of any cell, in memory.

6,466 evaluated cells stand for all 15,625 strings; a string has the values of the evaluated member
of its isomorphism class. Accuracies are fractions of the official TEST split (the benchmark calls
it "val"), means of three seeds (AutoAttack one seed). No torch here.

Source: Wu et al. 2024, arXiv:2403.13134.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.space import CONV1, CONV3
from supernet.cells.cost import Cost
from supernet.cells.genotype import Genotype
from supernet.cells.order import IndexOrder
from supernet.errors import UserError

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
COLUMNS = ("clean", "fgsm_3", "pgd_3", "fgsm_8", "pgd_8", "autoattack")
COSTS = ("params", "flops")
"""Smaller is better. Of the network for 10 classes at 32x32, whatever the data set."""

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}


@dataclass(frozen=True)
class Table:
    """The benchmark, as `supernet.benchmark.load.load_table` reads it, or a table of one's own, as
    `supernet.benchmark.own_table` does, which may hold a part of the cells."""

    order: IndexOrder
    unique: list[int]
    """Indices of the evaluated cells, ascending: the rows. The benchmark has 6,466."""
    row_of: NDArray[np.int64]
    """(15625,) the row of every index; -1 where the table has none."""
    matrix: NDArray[np.float64]
    """(data sets, columns, R) fractions; (3, 6, 6466) in the benchmark."""
    sources: list[dict[str, Any]]
    """Name, SHA-256 and whether the hash is the published one, for each file read."""

    datasets: tuple[str, ...] = DATASETS
    columns: tuple[str, ...] = COLUMNS
    classes: Mapping[str, int] = field(default_factory=lambda: CLASSES)
    """Classes of images by data set: guessing has 1/classes."""
    name: str = "NAS-RobBench-201"
    """The benchmark, or the file of one's own table."""

    # Cells and columns

    @property
    def size(self) -> int:
        """The number of evaluated cells, in the benchmark 6,466: ranks run from 1 to this."""
        return len(self.unique)

    @property
    def is_whole(self) -> bool:
        """Whether every cell has a row."""
        return bool((self.row_of >= 0).all())

    def require_whole(self, what: str) -> None:
        """Raise a UserError unless every cell has a row; `what` begins the sentence."""
        if not self.is_whole:
            raise UserError(
                f"{what} all 6,466 different cells, and {self.name} has {self.size:,}; leave out "
                "--table, or sweep the others, too (--cells all)"
            )

    @property
    def robust_column(self) -> str:
        """The accuracy under attack that cells are judged by, where nobody names one."""
        if "pgd_8" in self.columns:
            return "pgd_8"
        attacked = [name for name in self.columns if name.startswith("pgd_")]
        return (attacked or list(self.columns))[-1]

    @cached_property
    def genotypes(self) -> list[Genotype]:
        """The evaluated cells, by row."""
        return [self.order.genotype(index) for index in self.unique]

    @cached_property
    def digits(self) -> NDArray[np.int64]:
        """(15625, 6) the operator of every edge, in index order."""
        text = "".join(self.order.codes).encode()
        return np.frombuffer(text, dtype=np.uint8).reshape(-1, 6).astype(np.int64) - ord("0")

    @cached_property
    def multiplicity(self) -> NDArray[np.int64]:
        """(R,) the number of strings in each evaluated cell's class; they sum to 15,625.

        Raises: UserError where cells are missing.
        """
        self.require_whole("draws of random cells need")
        return np.bincount(self.row_of, minlength=self.size)

    def row(self, genotype: Genotype) -> int:
        """The row with a cell's values.

        Raises: UserError where the table has none.
        """
        row = int(self.row_of[self.order.index(genotype)])
        if row < 0:
            raise UserError(
                f"{self.name} has {self.size:,} cells, and neither {genotype.code} nor an isomorph "
                "of it; add it with scripts/sweep.py"
            )
        return row

    def has(self, genotype: Genotype) -> bool:
        """Whether the table has a cell, or an isomorph of it."""
        return bool(self.row_of[self.order.index(genotype)] >= 0)

    def values(self, dataset: str, column: str) -> NDArray[np.float64]:
        """(R,) a column over the evaluated cells, by row; `params` and `flops` work as well.

        Raises: UserError that lists the good names.
        """
        check_name("data set", dataset, self.datasets)
        check_name("column", column, self.columns + COSTS)
        if column in COSTS:
            return self.costs(column).astype(np.float64)
        return self.matrix[self.datasets.index(dataset), self.columns.index(column)]

    def costs(self, column: str, *, cheapest: bool = False) -> NDArray[np.int64]:
        """(R,) parameters or multiply-adds (10 classes, 32x32) of the evaluated cells.

        With `cheapest`, of the cheapest member of each class: an edge that leads nowhere costs
        parameters and changes nothing, so 358 classes have a cheaper member.
        """
        every = self.costs_of_all(column)
        if not cheapest:
            return every[self.unique]
        return every[self.cheapest_members]

    @cached_property
    def cheapest_members(self) -> NDArray[np.int64]:
        """(R,) index of the member of each class with the fewest parameters (the evaluated one
        where it is as cheap). It also has the fewest multiply-adds: a 3x3 edge outweighs six 1x1
        edges in both, so both order cells by (number of 3x3, number of 1x1)."""
        every = self.costs_of_all("params")
        best = np.array(self.unique)
        # Descending, so that the cheapest is written last; stable for reproducible choices.
        for index in np.argsort(-every, kind="stable"):
            row = self.row_of[index]
            if row >= 0 and every[index] < every[best[row]]:
                best[row] = index
        return best

    def costs_of_all(self, column: str) -> NDArray[np.int64]:
        """(15625,) parameters or multiply-adds of every string, in index order."""
        base, per_conv1, per_conv3 = Cost.params() if column == "params" else Cost.flops()
        conv1 = (self.digits == CONV1).sum(axis=1)
        conv3 = (self.digits == CONV3).sum(axis=1)
        return base + per_conv1 * conv1 + per_conv3 * conv3

    # Ranks

    def ranks(self, dataset: str, column: str) -> NDArray[np.int64]:
        """(R,) 1 + the number of evaluated cells that are strictly better.

        Cells with equal values share the best rank of their group ("1, 2, 2, 4").
        """
        values = self.values(dataset, column)
        goodness = -values if column in COSTS else values
        return self.size - np.searchsorted(np.sort(goodness), goodness, side="right") + 1

    def rank(self, genotype: Genotype, dataset: str, column: str) -> int:
        """The rank of a cell, 1 = the best of all."""
        return int(self.ranks(dataset, column)[self.row(genotype)])

    def rank_of_value(self, value: float, dataset: str, column: str) -> int:
        """The rank that a cell with this accuracy would have: 1 + the number strictly better."""
        check_name("column", column, self.columns)
        return int((self.values(dataset, column) > value).sum()) + 1

    def percentile(self, rank: int) -> float:
        """Percentage of the evaluated cells that are no better: 100 for rank 1."""
        return 100.0 * (self.size - rank + 1) / self.size


def check_name(kind: str, name: str, good: Sequence[str]) -> None:
    """Raise a UserError that lists the good names unless `name` is one of them."""
    if name not in good:
        raise UserError(f"unknown {kind} '{name}'; choose from {', '.join(good)}")
