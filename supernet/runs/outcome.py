"""What TensorBoard gets of a finished search: the result, its refinement and its finalists."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.progress import with_progress
from supernet.report import finalists, refinement
from supernet.report.records import read_finalists, read_refinement
from supernet.report.run_files import FINALISTS_FILE, REFINEMENT_FILE, RunFiles
from supernet.runs.tracking import Tracker

SECTIONS: dict[str, Callable[[RunFiles], list[str]]] = {
    "answer/refinement": refinement.section,
    "answer/finalists": finalists.section,
}
"""Name of a text -> the section of report.md that it is. TensorBoard opens the first two groups."""

OF_FINALISTS = ("finalist_robust", "finalist_clean")
"""What only a run with finalists is compared by."""


def log_outcome(
    tracker: Tracker, folder: Path, table: Table, step: int, *, quiet: bool = False
) -> None:
    """Log what a run directory says of its answer, at its last step."""
    run = RunFiles.read(folder, table)

    def result() -> None:
        compared = ("params", run.judge[1], "rank", *OF_FINALISTS, "flops")
        tracker.result(run.cell, result_values(run), run.config, step, compared)

    def text(name: str) -> None:
        blocks = SECTIONS[name](run)
        if blocks:
            tracker.text(name, "\n\n".join(blocks), step)

    texts = [functools.partial(text, name) for name in SECTIONS]
    parts: list[Callable[[], None]] = [result, *texts]
    for part in with_progress(parts, "TensorBoard", "part", quiet=quiet):
        part()
    for number, values in enumerate(refinement_values(run)):
        tracker.scalars(values, number)


def result_values(run: RunFiles) -> dict[str, float]:
    """The numbers that runs are compared by: size, place in the benchmark, and what the answer
    reached as a finalist, where it was one."""
    dataset, column = run.judge
    entry = run.query(run.cell)
    values = {
        "params": run.record["params"], "flops": run.record["flops"],
        column: entry["results"][dataset][column], "rank": entry["ranks"][dataset][column],
    }  # fmt: skip
    path = run.folder / FINALISTS_FILE
    if path.is_file():
        answer = read_finalists(path)["cells"][0]
        for name in OF_FINALISTS:
            found = answer[name.removeprefix("finalist_")]
            if found:
                values[name] = sum(found) / len(found)
    return values


def refinement_values(run: RunFiles) -> list[dict[str, Any]]:
    """For each sweep of a refinement, the first over the proposals: the cell that it chose, by its
    held-out loss in nats after the longest trainings, and by its parameters.

    A sweep whose cell was not trained to the end of it has no loss.
    """
    path = run.folder / REFINEMENT_FILE
    sweeps = read_refinement(path)["sweeps"] if path.is_file() else []
    classes = run.description["data"]["num_classes"]
    values = []
    for sweep in sweeps:
        last = sweep["rounds"][-1] if sweep["rounds"] else {"cells": [], "losses": []}
        losses = dict(zip(last["cells"], last["losses"], strict=True))
        values.append({
            "refinement/held_out_loss": losses.get(sweep["chosen"]),
            "refinement/params": Genotype.parse(sweep["chosen"]).params(classes),
        })  # fmt: skip
    return values
