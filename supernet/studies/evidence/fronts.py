"""The page's section on fronts: those of searches next to those that need none. No torch."""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from supernet.report.front import MENUS
from supernet.report.markdown import table
from supernet.report.words import points
from supernet.studies.evidence.numbers import spread
from supernet.studies.evidence.plan import ROWS
from supernet.studies.evidence.selection import Record, records_of

DRAWN = ROWS[0]
"""The row whose front is drawn, of its first seed."""


def section(evidence: Mapping[str, Any], folder: str) -> list[str]:
    """What the fronts of searches reach of the true one, a table for all data sets.

    `folder` is where evidence.json is, seen from the page.
    """
    if not any(run["front"] for run in evidence["runs"]):
        return ["## Fronts", "No search has been run yet."]
    most = next(run["front"]["per_size"] for run in evidence["runs"] if run["front"])
    header = ("images", "front", "seeds", "picked by", "one of each size", f"{most} of each size")
    lines = [line for each in evidence["images"] for line in _lines(evidence, each)]
    return [
        "## Fronts",
        "Every finished search has a front: of each number of parameters, the cells that its "
        "scores like best.\n"
        "The table judges these cells by their values in the benchmark, over (parameters, clean, "
        "PGD-20 8/255), with the hypervolume in % of the true front's.\n"
        "The last rows of each data set need no search: random cells (the median of many draws), "
        "and the best by one score.",
        table(header, lines, "llrlrr"),
        *_pictures(evidence, folder),
    ]


def _lines(evidence: Mapping[str, Any], images: Record) -> list[list[str]]:
    """The fronts of a data set's rows, then what those of the first of them are compared with."""
    found = {
        row["name"]: [
            run["front"]
            for run in records_of(evidence, images["name"], row["name"])
            if run["front"]
        ]
        for row in evidence["plan"]
    }
    found = {name: fronts for name, fronts in found.items() if fronts}
    lines = [
        [
            images["words"], f"`{name}`", str(len(fronts)),
            ", ".join(dict.fromkeys(MENUS[front["picked_by"]] for front in fronts)),
            *_pair([front["hypervolume"] for front in fronts]),
        ]
        for name, fronts in found.items()
    ]  # fmt: skip
    first: Sequence[Record] = next(iter(found.values()), [])
    for name in first[0]["compared"] if first else ():
        pairs = [front["compared"][name] for front in first]
        lines.append([images["words"], MENUS[name], "", "", *_pair(pairs)])
    return lines


def _pair(pairs: Sequence[Sequence[float]]) -> list[str]:
    """The median and range of the first of all pairs, and of the second."""
    return [spread(values, points) for values in zip(*pairs, strict=True)]


def _pictures(evidence: Mapping[str, Any], folder: str) -> list[str]:
    row, seed = DRAWN.name, DRAWN.seeds[0]
    return [
        f"![The front of {row}, {images['words']}, seed {seed}]"
        f"({posixpath.join(folder, 'fronts', images['name'])}.png)"
        for images in evidence["images"]
        if records_of(evidence, images["name"], row, seeds=[seed])
    ]
