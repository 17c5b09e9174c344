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
    header = ("images", "cells by", "rows", "searches", "one of each size", f"{most} of each size")
    lines = [line for each in evidence["images"] for line in _lines(evidence, each)]
    return [
        "## Fronts",
        "Every finished search has a front: of each number of parameters, the cells that its "
        "scores like best.\n"
        "The table judges these cells by their values in the benchmark, over (parameters, clean, "
        "PGD-20 8/255), with the hypervolume in % of the true front's.\n"
        "Searches whose cells are picked by the same scores stand together.\n"
        "Lines without searches are menus next to theirs: random cells (the median of many "
        "draws), and the best by one score.",
        table(header, lines, "lllrrr"),
        *_pictures(evidence, folder),
    ]


def _lines(evidence: Mapping[str, Any], images: Record) -> list[list[str]]:
    """The fronts of a data set's searches by what picked their cells, then the menus that they are
    compared with and no search has."""
    found: dict[str, list[tuple[str, Record]]] = {}
    for row in evidence["plan"]:
        for run in records_of(evidence, images["name"], row["name"]):
            if front := run["front"]:
                found.setdefault(front["picked_by"], []).append((row["name"], front))
    lines = [
        [
            images["words"], MENUS[guide], ", ".join(dict.fromkeys(f"`{row}`" for row, _ in made)),
            str(len(made)), *_pair([front["hypervolume"] for _, front in made]),
        ]
        for guide, made in found.items()
    ]  # fmt: skip
    fronts = [front for made in found.values() for _, front in made]
    for name in dict.fromkeys(name for front in fronts for name in front["compared"]):
        if name not in found:
            pairs = [front["compared"][name] for front in fronts if name in front["compared"]]
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
