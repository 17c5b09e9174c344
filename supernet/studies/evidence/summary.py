"""The few numbers for a first page: what is found on each data set, next to what costs nothing.

No torch.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from supernet.report.markdown import table
from supernet.report.words import points
from supernet.studies.evidence.judge import RANDOM
from supernet.studies.evidence.numbers import count, minutes
from supernet.studies.evidence.plan import HELD_OUT, JUDGE
from supernet.studies.evidence.records import answer
from supernet.studies.evidence.selection import Record, records_of

SEARCHED = {"main": "this search", "free": "the same without a supernet",
            "both": "without a supernet, with the other data sets' results"}  # fmt: skip
FREE = {
    "all_3x3": ("the largest cell, all 3x3 convolutions", "none"),
    f"best_of_{RANDOM}": (f"best of {RANDOM} random cells (expected)",
                          f"{RANDOM} adversarial trainings"),
    "prior": ("best by the other data sets' results", "the benchmark"),
    "best": ("the best cell", "6,466 adversarial trainings"),
}  # fmt: skip
"""key of `without_search` -> (words, cost)"""


def summary(evidence: Mapping[str, Any]) -> str:
    """A Markdown table: PGD-20 8/255 in % and rank, of searches the median of held-out seeds."""
    images = evidence["images"]
    lines = [
        line for row, words in SEARCHED.items() if (line := _searched(evidence, row, words))
    ]  # fmt: skip
    rivals = {
        each["name"]: {row["key"]: row for row in evidence["without_search"][each["name"]]}
        for each in images
    }
    for key, (words, cost) in FREE.items():
        cells = [_place([rivals[each["name"]][key]]) for each in images]
        lines.append([words, *cells, cost])
    header = ("PGD-20 8/255 in % (rank of 6,466)", *[each["words"] for each in images], "cost")
    return table(header, lines, "l" + "r" * len(images) + "l")


def _searched(evidence: Mapping[str, Any], row: str, words: str) -> list[str]:
    """The line of a row on its held-out seeds; empty where no data set has any."""
    found = [
        records_of(evidence, each["name"], row, seeds=HELD_OUT) for each in evidence["images"]
    ]  # fmt: skip
    known = [record for records in found for record in records]
    if not known:
        return []
    return [
        f"{words}, median of held-out seeds",
        *[_place_of_median(records) for records in found],
        f"{minutes(statistics.median(_seconds(record) for record in known))} CPU minutes",
    ]


def _seconds(record: Record) -> float:
    return float(sum(record["cpu_seconds"].values()))


def _place_of_median(records: Sequence[Record]) -> str:
    """The place, and how many seeds it is the median of."""
    if not records:
        return "-"
    place = _place([answer(record) for record in records])
    return f"{place}, {len(records)} seed{'s' * (len(records) > 1)}"


def _place(cells: Sequence[Record]) -> str:
    value = statistics.median(cell[JUDGE] for cell in cells)
    rank = statistics.median(cell["ranks"][JUDGE] for cell in cells)
    return f"{points(value)} ({count(rank)})"
