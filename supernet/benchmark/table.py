"""NAS-RobBench-201 as a table: values, ranks, percentiles and regret of any cell, in memory.

6,466 evaluated cells stand for all 15,625 strings; a string has the values of the evaluated member
of its isomorphism class. Accuracies are fractions of the official TEST split (the benchmark calls
it "val"), means of three seeds (AutoAttack one seed). No torch here.

Source: Wu et al. 2024, arXiv:2403.13134; facts of the files in `supernet.benchmark.files`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ops.space import CONV1, CONV3, SKIP
from supernet.benchmark.files import (
    ORDER,
    TABLE,
    Loaded,
    load_json,
    uncollected,
)
from supernet.benchmark.formats import Raw, read_large, read_meta, read_small
from supernet.benchmark.locate import locate, must_exist, pair_in
from supernet.benchmark.order_statistics import Population, best_of_probabilities
from supernet.cells.cost import Cost
from supernet.cells.genotype import Genotype
from supernet.cells.order import IndexOrder
from supernet.errors import UserError
from supernet.files import data_root

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
COLUMNS = ("clean", "fgsm_3", "pgd_3", "fgsm_8", "pgd_8", "autoattack")
COSTS = ("params", "flops")
"""Smaller is better. Of the network for 10 classes at 32x32, whatever the data set."""

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}


@dataclass(frozen=True)
class Table:
    """The benchmark. `Table.load(where)` reads it; where is a data root, folder or file."""

    order: IndexOrder
    unique: list[int]
    """Indices of the 6,466 evaluated cells, ascending: the rows."""
    row_of: NDArray[np.int64]
    """(15625,) the row of every index."""
    matrix: NDArray[np.float64]
    """(3, 6, 6466) fractions by data set, column, row."""
    files: tuple[Loaded, ...] = ()
    """What was read; `sources` describes it."""

    datasets: ClassVar[tuple[str, ...]] = DATASETS
    columns: ClassVar[tuple[str, ...]] = COLUMNS

    @classmethod
    def load(cls, where: str | Path | None = None, *, verify: bool = True) -> "Table":
        """Read the table from a data root, from a folder with its files, or from one of its files.

        Both published forms are read: `NAS-RobBench-201_html.json` with `ops.json`, and
        `NAS-RobBench-201_all.json` with `meta.json`. Without an argument the data root is the one
        of `supernet.files.data_root`.

        Raises: UserError when no table is there, or a file is not what it should be: one sentence
            that names the file, what was received instead, and where to get it.
        """
        return cls._read(*locate(where), verify=verify)

    @classmethod
    def find(cls, where: str | Path | None = None) -> "Table | None":
        """The table under a data root, or None where there is none. A broken file still raises."""
        root = data_root(where)
        pair = None if root is None else pair_in(root)
        return None if pair is None else cls._read(*pair)

    @classmethod
    def _read(cls, table: Path, order: Path, *, verify: bool = True) -> "Table":
        must_exist(order, table)
        with uncollected():
            if order.name == ORDER.name:
                files = (load_json(table, verify=verify), load_json(order, verify=verify))
                # A file that passes its hash check is still read by the order's one parser.
                cells = IndexOrder.load(order, verify=verify)
                return cls._from_raw(read_small(files[0]), cells, files)
            meta = load_json(order, verify=verify)
            codes, roots = read_meta(meta, verify=verify)
            meta = meta.emptied()
            files = (load_json(table, verify=verify), meta)
            return cls._from_raw(read_large(files[0], roots), IndexOrder(codes), files)

    @classmethod
    def _from_raw(cls, raw: Raw, order: IndexOrder, files: tuple[Loaded, ...]) -> "Table":
        wanted = [(dataset, column) for dataset in DATASETS for column in COLUMNS]
        missing = [pair for pair in wanted if pair not in raw.columns]
        if missing:
            dataset, column = missing[0]
            raise UserError(
                f"{files[0].path} has no column {dataset}#{column} (it has "
                f"{'#'.join(raw.columns[0])}, ...): it is another table; "
                f"download {TABLE.name} from {TABLE.url}"
            )
        places = [raw.columns.index(pair) for pair in wanted]
        by_column = np.ascontiguousarray(raw.values[:, places].T)
        matrix = by_column.reshape(len(DATASETS), len(COLUMNS), -1)
        kept = tuple(file.emptied() for file in files)
        return cls(order, raw.unique.tolist(), raw.row_of, matrix, kept)

    # Cells and columns

    @property
    def size(self) -> int:
        """The number of evaluated cells, 6,466: ranks run from 1 to this."""
        return len(self.unique)

    @property
    def sources(self) -> list[dict[str, Any]]:
        """Name, SHA-256 and whether the hash is the published one, for each file read."""
        return [
            {"file": f.path.name, "sha256": f.sha256, "verified": f.verified} for f in self.files
        ]

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

    def query(self, genotype: Genotype) -> dict[str, Any]:
        """Everything the table says of a cell.

        arch, code, index; unique_index (the evaluated member of its class, whose values these are);
        params and flops of the cell as given, for 10 classes at 32x32; then by data set and column:
        results (fractions), ranks (1 = best of 6,466), percentiles (0..100), regret (fraction by
        which the best cell of the column is better).
        """
        row = self.row(genotype)
        results = {d: {c: float(self.values(d, c)[row]) for c in COLUMNS} for d in DATASETS}
        return {
            "arch": genotype.arch,
            "code": genotype.code,
            "index": self.order.index(genotype),
            "unique_index": self.unique[row],
            "params": genotype.params(),
            "flops": genotype.flops(),
            **self.place(results),
        }

    def place(self, results: dict[str, dict[str, float]]) -> dict[str, Any]:
        """results[dataset][column] with the ranks, percentiles and regret of these accuracies."""
        ranks = {
            d: {c: self.rank_of_value(v, d, c) for c, v in row.items()}
            for d, row in results.items()
        }
        return {
            "results": results,
            "ranks": ranks,
            "percentiles": {
                d: {c: self.percentile(r) for c, r in row.items()} for d, row in ranks.items()
            },
            "regret": {
                d: {c: float(self.values(d, c).max()) - v for c, v in row.items()}
                for d, row in results.items()
            },
        }

    # What needs no search

    def best_of_probabilities(
        self,
        n: int,
        dataset: str,
        column: str,
        *,
        population: Population = "strings",
        replacement: bool = True,
    ) -> NDArray[np.float64]:
        """(R,) probability of each evaluated cell to be the best of n random ones by a column.

        The default is what a plain random search does: it draws from the 15,625 strings, with
        replacement. `supernet.benchmark.order_statistics` has the formulas.
        """
        check_name("column", column, COLUMNS)
        check_name("population", population, ("strings", "classes"))
        one = np.ones(self.size, dtype=np.int64)
        weights = self.multiplicity if population == "strings" else one
        values = self.values(dataset, column)
        return best_of_probabilities(values, weights, n, replacement=replacement)

    def expected_best_of(
        self,
        n: int,
        dataset: str,
        column: str,
        *,
        population: Population = "strings",
        replacement: bool = True,
    ) -> float:
        """Expected accuracy (fraction) of the best of n random cells, in closed form."""
        probabilities = self.best_of_probabilities(
            n, dataset, column, population=population, replacement=replacement
        )
        return float(probabilities @ self.values(dataset, column))

    def baseline_rows(
        self,
        dataset: str = "cifar10",
        column: str = "pgd_8",
        *,
        best_of: Sequence[int] = (50, 150),
    ) -> list[dict[str, Any]]:
        """The rows that cost no search, to stand beside any searched cell.

        `name`, then as in `query`: all-3x3, all-skip, and for each n the cell that n random draws
        find best by (dataset, column), in expectation over the draws. Its other accuracies are
        those of that cell, not each column's own best; its ranks are those of the expected values.
        """
        rows = [
            {"name": "all 3x3", **self.query(Genotype((CONV3,) * 6))},
            {"name": "all skip", **self.query(Genotype((SKIP,) * 6))},
        ]
        for n in best_of:
            p = self.best_of_probabilities(n, dataset, column)
            results = {d: {c: float(p @ self.values(d, c)) for c in COLUMNS} for d in DATASETS}
            name = f"best of {n} random by {dataset} {column} (expected)"
            costs = {cost: float(p @ self.costs(cost)) for cost in COSTS}
            rows.append({"name": name, "n": n, **costs, **self.place(results)})
        return rows


def check_name(kind: str, name: str, good: Sequence[str]) -> None:
    """Raise a UserError that lists the good names unless `name` is one of them."""
    if name not in good:
        raise UserError(f"unknown {kind} '{name}'; choose from {', '.join(good)}")
