"""What the table says of one cell: all its values, their places, and rows to hold next to it."""

from collections.abc import Sequence
from typing import Any

from ops.space import CONV3, NUM_EDGES, SKIP
from supernet.benchmark.order_statistics import best_of_probabilities
from supernet.benchmark.table import COSTS, Table
from supernet.cells.genotype import Genotype

Results = dict[str, dict[str, float]]
"""[data set][column], fractions."""


def query_cell(table: Table, cell: Genotype) -> dict[str, Any]:
    """Everything the table says of a cell.

    arch, code, index; unique_index (the evaluated member of its class, whose values these are);
    params and flops of the cell as given, for 10 classes at 32x32; then by data set and column as
    in `places`.
    """
    row = table.row(cell)
    results = {
        d: {c: float(table.values(d, c)[row]) for c in table.columns} for d in table.datasets
    }
    return {
        "arch": cell.arch,
        "code": cell.code,
        "index": table.order.index(cell),
        "unique_index": table.unique[row],
        "params": cell.params(),
        "flops": cell.flops(),
        **places(table, results),
    }


def places(table: Table, results: Results) -> dict[str, Any]:
    """By data set and column: the results themselves (fractions), ranks (1 = best of all),
    percentiles (0..100), and regret (fraction by which the best cell of the column is better)."""
    ranks = {
        d: {c: table.rank_of_value(value, d, c) for c, value in row.items()}
        for d, row in results.items()
    }
    return {
        "results": results,
        "ranks": ranks,
        "percentiles": {
            d: {c: table.percentile(rank) for c, rank in row.items()} for d, row in ranks.items()
        },
        "regret": {
            d: {c: float(table.values(d, c).max()) - value for c, value in row.items()}
            for d, row in results.items()
        },
    }


def baseline_rows(
    table: Table, dataset: str, column: str, *, best_of: Sequence[int] = (50, 150)
) -> list[dict[str, Any]]:
    """The rows that cost no search, to stand next to any searched cell.

    `key` names a row: `all_3x3` and `all_skip`, with what `query_cell` says of them; then for each
    n `best_of_<n>`, the cell that n random draws find best by (dataset, column), in expectation
    over the draws, with `n` and `judged_by`. Its other accuracies are those of that cell, not each
    column's own best; its ranks are those of the expected values. A table of some cells has those
    of the first two rows that it holds, and no draws.
    """
    constant = {"all_3x3": CONV3, "all_skip": SKIP}
    rows = [
        {"key": key, **query_cell(table, Genotype((op,) * NUM_EDGES))}
        for key, op in constant.items()
        if table.has(Genotype((op,) * NUM_EDGES))
    ]
    if not table.is_whole:
        return rows
    return rows + [_best_of(table, n, dataset, column) for n in best_of]


def _best_of(table: Table, n: int, dataset: str, column: str) -> dict[str, Any]:
    p = best_of_probabilities(table.values(dataset, column), table.multiplicity, n)
    results = {d: {c: float(p @ table.values(d, c)) for c in table.columns} for d in table.datasets}
    return {
        "key": f"best_of_{n}",
        "n": n,
        "judged_by": {"dataset": dataset, "column": column},
        **{cost: float(p @ table.costs(cost)) for cost in COSTS},
        **places(table, results),
    }
