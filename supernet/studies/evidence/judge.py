"""What the benchmark says of cells: of those that were searched, and of those that were not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.space import NONE, NUM_EDGES
from supernet.benchmark.judged_by import other_datasets
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import CLASSES, Table
from supernet.cells.genotype import Genotype
from supernet.report.words import baseline_name, dataset_name
from supernet.search.prior import prior_scores
from supernet.studies.evidence.plan import JUDGE

COLUMNS = ("clean", "pgd_8", "autoattack")
RANDOM = 50
"""A random search of so many cells stands next to the rows, in expectation."""
DIGITS = 6
"""Decimals of fractions in evidence.json: a test set has 10,000 images."""


def judged(table: Table, code: str, dataset: str) -> dict[str, Any]:
    """A cell and its place on a data set.

    Accuracies and regret (to the benchmark's best cell by the judge) are fractions; ranks are of
    6,466, by each of COLUMNS. `params` is of the cell's own network for the data set's classes.
    """
    return {"code": code, **_place(query_cell(table, Genotype.parse(code)), dataset)}


def without_search(table: Table, dataset: str) -> list[dict[str, Any]]:
    """The rows that need no search, each with a `key` and a `name`.

    The largest cell by parameters is all-3x3: one row for both. Random cells are in expectation.
    """
    baselines = baseline_rows(table, dataset, JUDGE, best_of=(RANDOM,))
    rows = {row["key"]: {"name": baseline_name(row), **_place(row, dataset)} for row in baselines}
    others = " and ".join(map(dataset_name, other_datasets(dataset)))
    best = table.genotypes[int(table.values(dataset, JUDGE).argmax())].code
    indices = _without_none(table)
    scores = _prior(table, dataset)[table.row_of[indices]]
    prior = table.order.codes[indices[scores.argmax()]]
    found = {
        "all_3x3": {"code": "333333", **rows["all_3x3"], "name": "all 3x3, the largest cell"},
        f"best_of_{RANDOM}": {"code": None, **rows[f"best_of_{RANDOM}"]},
        "prior": {
            "name": f"the best cell by {others}",
            **judged(table, prior, dataset),
        },
        "best": {"name": "the best cell", **judged(table, best, dataset)},
    }
    return [{"key": key, **row} for key, row in found.items()]


def within_budget(table: Table, dataset: str, most: float) -> dict[str, Any]:
    """What there is within `most` parameters of a network for the data set's classes.

    `best`: the highest accuracy by the judge (a fraction); regret within the budget is to it.
    Then the regrets of `largest`, one of the largest cells that fit in expectation, and of `prior`,
    the best by the prior. Cells may hold `none`, as the answers of searches within a budget may.
    """
    indices_N = _connected(table)
    sizes_N = table.costs_of_all("params")[indices_N] + _head(dataset)
    fits_N = sizes_N <= most
    rows, sizes = table.row_of[indices_N[fits_N]], sizes_N[fits_N]
    values, prior_R = table.values(dataset, JUDGE)[rows], _prior(table, dataset)
    best = float(values.max())
    found = {
        "largest": values[sizes == sizes.max()].mean(),
        "prior": values[prior_R[rows].argmax()],
    }
    regrets = {name: round(best - float(value), DIGITS) for name, value in found.items()}
    return {"best": round(best, DIGITS), **regrets}


def _prior(table: Table, dataset: str) -> NDArray[np.float64]:
    """(R,) scores by the other data sets."""
    return prior_scores(table, other_datasets(dataset), robust=True)


def _connected(table: Table) -> NDArray[np.int64]:
    """(N,) index of the cheapest member of each class with a path from input to output."""
    members = table.cheapest_members
    return members[[table.order.genotype(int(index)).is_connected for index in members]]


def _without_none(table: Table) -> NDArray[np.int64]:
    """(N,) index of the cheapest member without `none` of each class that has one."""
    without = np.flatnonzero((table.digits != NONE).all(axis=1))
    order = without[np.argsort(table.costs_of_all("params")[without], kind="stable")]
    _, first = np.unique(table.row_of[order], return_index=True)
    return order[first]


def _place(entry: dict[str, Any], dataset: str) -> dict[str, Any]:
    """The shown columns of what `query_cell` says or of a row of `baseline_rows`."""
    return {
        **{name: round(entry["results"][dataset][name], DIGITS) for name in COLUMNS},
        "ranks": {name: entry["ranks"][dataset][name] for name in COLUMNS},
        "regret": round(entry["regret"][dataset][JUDGE], DIGITS),
        "params": entry["params"] + _head(dataset),
    }


def _head(dataset: str) -> int:
    """Parameters that a classifier for the data set's classes has beyond one for ten."""
    cell = Genotype((NONE,) * NUM_EDGES)
    return cell.params(CLASSES[dataset]) - cell.params()
