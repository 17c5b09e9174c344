"""What short trainings decided: sweep by sweep, next to what decides without them. No torch.

A sweep compares the proposals, or the neighbours of a cell with it, by scores and losses together.
Next to its choice stand the cell with the greatest standing, which needs no training, and those
with the least loss, which know nothing of scores, though scores have picked the cells that are
trained.
"""

from collections.abc import Mapping
from typing import Any

from supernet.report.markdown import table
from supernet.studies.evidence.selection import Record, records_of


def section(evidence: Mapping[str, Any]) -> list[str]:
    """A table of how often a sweep's choice is what one of its parts would have chosen alone."""
    rows = [
        line
        for images in evidence["images"]
        for row in evidence["plan"]
        if (line := _line(evidence, images, row))
    ]
    if not rows:
        return []
    return [
        "## What short trainings decide",
        "A sweep compares the proposals, or the neighbours of a cell with it.\n"
        "The table counts the sweeps whose choice is the cell of the greatest standing (free "
        "scores, prior), which needs no training; the cell of the least loss in its first "
        "round, which a cell's neighbours have without the cell; and that of the least loss in "
        "its last, where trainings are longest and the cell takes part.\n"
        "Scores have picked the cells that are trained.",
        table(
            ("images", "row", "seeds", "sweeps", "greatest standing", "least loss of the first "
             "round", "least loss of the last round"),
            rows,
            "llrrrrr",
        ),
    ]  # fmt: skip


def _line(evidence: Mapping[str, Any], images: Record, row: Record) -> list[str]:
    """The cells of a row's line; empty where no run of it has its sweeps."""
    mine = [
        run
        for budget in row["budgets"] or [None]
        for run in records_of(evidence, images["name"], row["name"], budget=budget)
        if run.get("sweeps")
    ]
    sweeps = [sweep for run in mine for sweep in run["sweeps"]]
    if not sweeps:
        return []
    found = [_agreement(sweep) for sweep in sweeps]
    counts = [str(sum(part)) for part in zip(*found, strict=True)]
    return [images["words"], f"`{row['name']}`", str(len(mine)), str(len(sweeps)), *counts]


def _agreement(sweep: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    standings, losses = sweep["standings"], sweep["losses"]
    alone = max(standings, key=standings.__getitem__)
    first, last = (min(part, key=part.__getitem__) for part in (losses[0], losses[-1]))
    chosen = sweep["chosen"]
    return alone == chosen, first == chosen, last == chosen
