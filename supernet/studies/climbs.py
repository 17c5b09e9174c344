"""How far single-edge changes lead by a score that needs no training: the number of moves.

A refinement moves by standing and losses together. Where the standing alone would stop, and how
good the cells on the way are, says what a third move could bring.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.table import DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.report.markdown import table as markdown_table
from supernet.report.words import dataset_name
from supernet.search.refine import neighbours

COLUMN = "pgd_8"
SHOWN = 3
"""Moves that have a column of their own."""


def climbed(
    table: Table, score_R: NDArray[np.float64], starts: Sequence[Genotype]
) -> list[dict[str, Any]]:
    """The way from each start to the cell that no neighbour beats by the score, which is the last.

    A record has `start`, the codes on the `way` (the start first) and, for each data set, their
    `ranks`. No cell on the way has `none`.
    """
    found = []
    for start in starts:
        way = [start]
        while True:
            around = neighbours(way[-1], allow_none=False)
            best = max(around, key=lambda cell: score_R[table.row(cell)])
            if score_R[table.row(best)] <= score_R[table.row(way[-1])]:
                break
            way.append(best)
        rows = [table.row(cell) for cell in way]
        found.append({
            "start": start.code, "way": [cell.code for cell in way],
            "ranks": {name: table.ranks(name, COLUMN)[rows].tolist() for name in DATASETS},
        })  # fmt: skip
    return found


def markdown(record: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A section: ranks after one, two, three moves, and where there are no more."""
    rows = []
    for name, ways in record.items():
        moves = [len(each["way"]) - 1 for each in ways]
        for dataset in DATASETS:
            ranks = [each["ranks"][dataset] for each in ways]
            after = [[each[min(n, len(each) - 1)] for each in ranks] for n in range(SHOWN + 1)]
            columns = [*after, [each[-1] for each in ranks]]
            rows.append([
                f"{len(ways)} {name}", dataset_name(dataset),
                *[f"{statistics.median(column):,.0f}" for column in columns],
                f"{statistics.median(moves):.0f} ({max(moves)})",
            ])  # fmt: skip
    header = ("starts", "judged by", "start", *[f"{n + 1}" for n in range(SHOWN)], "end", "moves")
    return [
        "## Moves by free scores alone",
        "From each start to the best neighbour by `free`, until none is better: the median rank "
        "at the start, after each of three moves, and at the end; and the moves until then, in "
        "the median and, in brackets, at most.",
        markdown_table(header, rows, "ll" + "r" * (len(header) - 2)),
    ]
