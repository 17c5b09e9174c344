"""A run that has everything a report can show, and its page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from supernet.benchmark.table import Table
from supernet.report.write import write_report
from tests.supernet.report.page.reading import Reading
from tests.supernet.report.runs import FOUND, write_run
from tests.supernet.report.test_finalists import finalist
from tests.supernet.report.test_front import write_front
from tests.supernet.report.test_refinement import RECORD
from tests.supernet.report.test_standalone import _evaluation


@pytest.fixture(scope="module")
def no_figures() -> Iterator[None]:
    """Seconds per report go into drawing, which other tests cover."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Figure, "savefig", lambda self, stream, **options: None)
        yield


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, invented: Table, no_figures: None) -> Path:
    """The folder of the run, whose reports are written."""
    folder = write_everything(tmp_path_factory.mktemp("run") / "full", invented)
    write_report(folder, invented)
    return folder


@pytest.fixture(scope="module")
def page(full: Path) -> Reading:
    """report.html of that run."""
    return Reading((full / "report.html").read_text())


def write_everything(folder: Path, table: Table) -> Path:
    """A run directory with a front, a refinement, finalists and a stand-alone network."""
    write_run(folder, table)
    set_config(folder, refine_steps=[50, 100], refine_attack="none")
    write_front(folder, table)
    (folder / "refine.json").write_text(json.dumps(RECORD))
    (folder / "finalists.json").write_text(json.dumps(finalists_record(table)))
    alone = folder / "standalone"
    alone.mkdir()
    (alone / "evaluation.json").write_text(json.dumps(_evaluation()))
    lines = [{"epoch": 1, "train_loss": 2.5, "test_clean_acc": 0.25},
             {"epoch": 2, "train_loss": 2.25, "test_clean_acc": 0.375}]  # fmt: skip
    (alone / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def set_config(folder: Path, **fields: Any) -> None:
    """Overwrite fields of a run's config."""
    description = json.loads((folder / "config.json").read_text())
    description["config"] |= fields
    (folder / "config.json").write_text(json.dumps(description))


def finalists_record(table: Table) -> dict[str, Any]:
    """A finalists.json of two cells and three seeds."""
    return {
        "images": {
            "name": "cifar10", "stand_in": False, "num_classes": 10, "image_size": 16,
            "train_images": 5000, "held_out_images": 500, "held_out_from": "test",
        },
        "eps": 4 / 255, "seeds": [0, 1, 2], "judged_by": ["cifar10", "pgd_8"], "seconds": 130.0,
        "recipe": {
            "steps": 100, "batch_size": 64, "attack": "n_fgsm", "attack_steps": 7, "pgd_steps": 20,
            "C": 16, "N": 5,
        },
        "cells": [
            finalist(table, FOUND.code, ["answer"], 0.30, 0.28, 0.32),
            finalist(table, "333333", ["all 3x3", "prior"], 0.24, 0.279, 0.21),
        ],
    }  # fmt: skip
