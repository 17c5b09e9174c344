"""The page's table of a data set: rows that were searched, and rows that were not. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from supernet.report.markdown import table
from supernet.report.words import GUIDE_NAMES, PROPOSAL_NAMES, points
from supernet.studies.evidence.numbers import count, millions, minutes, spread
from supernet.studies.evidence.plan import HALF, JUDGE, TOP
from supernet.studies.evidence.selection import Line, Record, lines_of

HEADER = ("row", "seeds", "clean", "PGD-20 8/255", "AutoAttack", "rank", "by AutoAttack",
          "by clean", "best 1 %", "worse half", "regret", "params", "trainings", "CPU minutes",
          "machine")  # fmt: skip
COSTS = 3
"""Columns at the end that a row without a search leaves empty."""


def searches(evidence: Mapping[str, Any], images: Record, letters: Mapping[str, str]) -> str:
    """The table of a data set; letters stand for machines."""
    stand_in = f", {images['words']}" if "stand-in" in images["words"] else ""
    lines = [_searched(line, stand_in, letters) for line in lines_of(evidence, images["name"])]
    free = [_free(row) for row in evidence["without_search"][images["name"]]]
    return table(HEADER, [*lines, *free], "l" + "r" * (len(HEADER) - 2) + "l")


def name_of(line: Line) -> str:
    """`main`; `main`, supernet alone; `deep`, by alpha."""
    named = PROPOSAL_NAMES.get(line.guide) or f"by {GUIDE_NAMES.get(line.guide)}"
    words = "" if line.guide == "answer" else named
    return ", ".join(filter(None, (f"`{line.row}`", words)))


def _searched(line: Line, stand_in: str, letters: Mapping[str, str]) -> list[str]:
    records = line.records
    machines = sorted({letters[record["machine"]] for record in records})
    return [
        name_of(line) + stand_in, str(len(records)), *_numbers(line.cells), *_costs(line),
        ", ".join(machines),
    ]  # fmt: skip


def _costs(line: Line) -> list[str]:
    """Trainings and CPU minutes of a line: a cell that was there before them has cost none, and one
    by free scores no supernet either."""
    answers = line.guide == "answer"
    costs = [r["cpu_seconds"] for r in line.records]
    seconds = [
        c["refine"] * answers + c["supernet"] * (answers or line.guide in GUIDE_NAMES)
        for c in costs
    ]  # fmt: skip
    trainings = [r["trainings"] * answers for r in line.records]
    return [spread(trainings, count), spread(seconds, minutes)]


def _free(row: Record) -> list[str]:
    code = f" (`{row['code']}`)" if row["code"] else ""
    return [f"{row['name']}{code}", "", *_numbers([row]), *[""] * COSTS]


def _numbers(cells: Sequence[Record]) -> list[str]:
    """Accuracies, ranks, how many are among the best and the worse, regret, params."""
    ranks = [cell["ranks"][JUDGE] for cell in cells]
    return [
        *[spread([c[name] for c in cells], points) for name in ("clean", JUDGE, "autoattack")],
        *[spread([c["ranks"][n] for c in cells], count) for n in (JUDGE, "autoattack", "clean")],
        str(sum(rank <= TOP for rank in ranks)), str(sum(rank > HALF for rank in ranks)),
        spread([cell["regret"] for cell in cells], points),
        spread([cell["params"] for cell in cells], millions),
    ]  # fmt: skip
