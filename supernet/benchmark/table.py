"""NAS-RobBench-201 as a table: values, ranks, percentiles and regret of any cell, in memory.

6,466 evaluated cells stand for all 15,625 strings; a string has the values of the evaluated member
of its isomorphism class. Accuracies are fractions of the official TEST split (the benchmark calls
it "val"), means of three seeds (AutoAttack one seed). No torch here.

Source: Wu et al. 2024, arXiv:2403.13134.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

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
    """The benchmark. `supernet.benchmark.load.load_table` reads it."""

    order: IndexOrder
    unique: list[int]
    """Indices of the 6,466 evaluated cells, ascending: the rows."""
    row_of: NDArray[np.int64]
    """(15625,) the row of every index."""
    matrix: NDArray[np.float64]
    """(3, 6, 6466) fractions by data set, column, row."""
    sources: list[dict[str, Any]]
    """Name, SHA-256 and whether the hash is the published one, for each file read."""

    datasets: ClassVar[tuple[str, ...]] = DATASETS
    columns: ClassVar[tuple[str, ...]] = COLUMNS

    # Cells and columns

    @property
    def size(self) -> int:
        """The number of evaluated cells, 6,466: ranks run from 1 to this."""
        return len(self.unique)

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
        """(R,) the number of strings in each evaluated cell's class; they sum to 15,625."""
        return np.bincount(self.row_of, minlength=self.size)

    def row(self, genotype: Genotype) -> int:
        """The row with a cell's values."""
        return int(self.row_of[self.order.index(genotype)])

    def values(self, dataset: str, column: str) -> NDArray[np.float64]:
        """(R,) a column over the evaluated cells, by row; `params` and `flops` work as well.

        Raises: UserError that lists the good names.
        """
        check_name("data set", dataset, DATASETS)
        check_name("column", column, COLUMNS + COSTS)
        if column in COSTS:
            return self.costs(column).astype(np.float64)
        return self.matrix[DATASETS.index(dataset), COLUMNS.index(column)]

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
            if every[index] < every[best[self.row_of[index]]]:
                best[self.row_of[index]] = index
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
        """The rank of a cell, 1 = best of 6,466."""
        return int(self.ranks(dataset, column)[self.row(genotype)])

    def rank_of_value(self, value: float, dataset: str, column: str) -> int:
        """The rank that a cell with this accuracy would have: 1 + the number strictly better."""
        check_name("column", column, COLUMNS)
        return int((self.values(dataset, column) > value).sum()) + 1

    def percentile(self, rank: int) -> float:
        """Percentage of the evaluated cells that are no better: 100 for rank 1."""
        return 100.0 * (self.size - rank + 1) / self.size


def check_name(kind: str, name: str, good: Sequence[str]) -> None:
    """Raise a UserError that lists the good names unless `name` is one of them."""
    if name not in good:
        raise UserError(f"unknown {kind} '{name}'; choose from {', '.join(good)}")
