"""The section that judges: what a search cost next to random search."""

import json
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.report.cost import cells_at_equal_cost
from supernet.report.place import section
from supernet.report.run_files import RunFiles
from tests.supernet.report.runs import write_run

SHORT = {"refine_steps": [200], "refine_attack": "none"}


def cost_of(folder: Path, invented: Table) -> str:
    blocks = section(RunFiles.read(folder, invented))
    return next(text for text in blocks if "search cost" in text or "trained nothing" in text)


@pytest.mark.usefixtures("no_pictures")
def test_short_trainings_are_part_of_the_cost(tmp_path: Path, invented: Table) -> None:
    folder = write_run(tmp_path, invented, epochs=0, warmup_epochs=0)
    assert cost_of(folder, invented) == (
        "This search trained nothing: its answer costs a look-up of scores."
    )
    description = json.loads((folder / "config.json").read_text())
    description["config"] |= SHORT
    (folder / "config.json").write_text(json.dumps(description))
    judged = {"number": 0, "cells": ["333333", "333133"], "losses": [1.0, 2.0], "scores": [1, 0]}
    record = {
        "proposals": {"free": ["333333", "333133"]}, "trainings": 2, "cpu_seconds": 9.0,
        "sweeps": [{"start": None, "chosen": "333333", "rounds": [judged]}],
    }  # fmt: skip
    (folder / "refine.json").write_text(json.dumps(record))
    cells = cells_at_equal_cost(description, ["clean", "robust"], record)
    assert 0 < cells < 1
    assert f"this search cost 1/{round(1 / cells):,} of the adversarial training" in cost_of(
        folder, invented
    )
