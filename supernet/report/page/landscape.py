"""The scatter of all cells of the benchmark: their values, and the cells to find among them.

Each class of isomorphic cells is shown as its cheapest member, so that no cell of a class can lie
beyond the best ones that are shown.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import COLUMNS, COSTS, DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.report.page import markup
from supernet.report.run_files import FRONT_FILE, RunFiles, answers
from supernet.report.words import baseline_name, column_name, dataset_name

Mark = dict[str, Any]
"""`label`, `group`, `code` (None for an expected value) and `values`, in the order of `names`."""

BEST_OF = (10, 50)
NAMES = [f"{dataset} {column}" for dataset in DATASETS for column in COLUMNS] + list(COSTS)
"""The values of a cell: accuracies by data set and column as fractions, then the costs."""


def all_values(table: Table) -> bytes:
    """(20, R) little-endian doubles: the values of all classes, as `NAMES` orders them."""
    accuracies = table.matrix.reshape(-1, table.size)
    costs = np.stack([table.costs(column, cheapest=True) for column in COSTS])
    return np.concatenate([accuracies, costs]).astype("<f8").tobytes()


def of_run(run: RunFiles) -> dict[str, Any]:
    """The scatter of a run: its answer, what else it could have answered, baselines and menu."""
    marks = [
        *_front(run),
        *(mark(name, "baseline", row) for name, row in _baselines(run)),
        *_answers(run),
    ]
    return scatter(run.table, run.judge, marks)


def scatter(table: Table, judge: tuple[str, str], marks: Sequence[Mark]) -> dict[str, Any]:
    """What the page's script draws; `judge` is the column that is shown first."""
    dataset, column = judge
    return {
        "codes": "".join(table.order.genotype(int(i)).code for i in table.cheapest_members),
        "names": NAMES,
        "datasets": [[name, dataset_name(name)] for name in DATASETS],
        "columns": [[name, column_name(name)] for name in (*COLUMNS, *COSTS)],
        "start": {"dataset": dataset, "x": "params", "y": column},
        "marks": list(marks),
    }


def cell_mark(table: Table, name: str, group: str, code: str) -> Mark:
    """The mark of a cell by what the table says of it."""
    return mark(name, group, query_cell(table, Genotype.parse(code)))


def _answers(run: RunFiles) -> Iterator[Mark]:
    for words, cell in answers(run.record).values():
        if cell["code"] != run.cell.code:
            yield cell_mark(run.table, f"by {words}", "answer", cell["code"])
    yield cell_mark(run.table, "found", "found", run.cell.code)


def _baselines(run: RunFiles) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in baseline_rows(run.table, *run.judge, best_of=BEST_OF):
        yield baseline_name(row), row


def _front(run: RunFiles) -> Iterator[Mark]:
    for number, cell in enumerate((run.front() or {"cells": []})["cells"]):
        yield cell_mark(run.table, f"{FRONT_FILE}:{number}", "front", cell["code"])


def mark(name: str, group: str, row: dict[str, Any]) -> Mark:
    """The mark of a row of `benchmark.rows`: a cell, or the expected value of a random search."""
    accuracies = [row["results"][dataset][column] for dataset in DATASETS for column in COLUMNS]
    values = [*accuracies, *(row[cost] for cost in COSTS)]
    return {"label": markup.plain(name), "group": group, "code": row.get("code"), "values": values}
