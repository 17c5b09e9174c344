"""The invented table, and evidence whose searches take no time."""

import json
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.files import write_json
from supernet.studies.evidence import collected, jobs, run
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.plan import Row, Run, runs_of
from tests.tables import invented, invented_root

__all__ = ["invented", "invented_root"]

ROWS = (
    Row("main", "as it is", seeds=(5, 6), images=("cifar10", "cifar100")),
    Row("other", "with more", "--beta-decay 0", seeds=(5,), images=("cifar10",)),
    Row("main-budgets", "within", seeds=(5,), images=("cifar10",), budgets=("0.4M", "0.8M")),
)  # fmt: skip
CELLS = {"alpha": "333333", "gains": "323133", "refined": "333133"}
"""What every invented search ends with."""
FREE = "333123"
"""The best cell by free scores, in every invented search."""
TRAINING = {
    "cell": "333133", "seed": 5000, "steps": 50,
    "outcome": {
        "loss": 1.5, "acc": 0.5, "robust_loss": None, "robust_acc": None, "train_loss": 1.25,
        "seconds": 30.0,
    },
}  # fmt: skip
"""A line of every invented search's refine.jsonl, and of no other data set or seed."""


class Ended:
    """A process that has ended."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def config(tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch) -> EvidenceConfig:
    """Everything under tmp_path, judged by the invented table, which fails the check of hashes."""
    monkeypatch.setattr(collected, "load_table", lambda where: invented)
    monkeypatch.setattr(collected, "found_front", lambda record, table, path: None)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.001)
    return EvidenceConfig(
        out=str(tmp_path / "out"), page=str(tmp_path / "page.md"), runs=str(tmp_path / "runs")
    )


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Searches take no time and end with CELLS; returns the names of those that began."""
    begun: list[str] = []

    def begin(planned: Run, config: EvidenceConfig, lock: int) -> Ended:
        begun.append(planned.name)
        write_search(Path(config.runs), planned)
        return Ended(0)

    monkeypatch.setattr(run, "begin", begin)
    return begun


def write_search(runs: Path, planned: Run) -> Path:
    """The files of a finished search, with what a record is made of. It adds TRAINING to what was
    lent."""
    folder, config = runs / planned.name, planned.config()
    write_json(folder / "config.json", {
        "config": config.to_dict(), "config_hash": config.hash(), "device": "a test",
        "device_type": "cpu", "threads": 2, "impl": "batched", "data": {"source": "some images"},
        "versions": {"torch": "9.9"}, "commit": None, "attack_dtype": "bfloat16",
    })  # fmt: skip
    write_json(folder / "front.json", front())
    write_json(folder / "refine.json", {
        "proposals": {"supernet": [CELLS["gains"]], "free": ["333333"]},
        "sweeps": [
            {"start": None, "rounds": [], "chosen": "333333"},
            {"start": "333333", "rounds": [], "chosen": CELLS["refined"]},
            {"start": CELLS["refined"], "rounds": [], "chosen": CELLS["refined"]},
        ],
        "trainings": 40, "cpu_seconds": 600.04,
    })  # fmt: skip
    with (folder / "refine.jsonl").open("a") as stream:
        stream.write(json.dumps(TRAINING) + "\n")
    (folder / "metrics.jsonl").write_text('{"seconds": 1.0}\n{"seconds": 300.0}\n')
    cells = {
        guide: {"code": code, "params": Genotype.parse(code).params()}
        for guide, code in CELLS.items()
    }
    write_json(folder / "genotype.json", {
        "derivation": {"chosen_by": "refined", "cells": cells},
        "proposals": {"cells": {"gains": cells["gains"], "free": {"code": FREE}}}, "seconds": 95.0,
    })  # fmt: skip
    return folder


def front() -> dict[str, Any]:
    """What of a front.json a record takes."""
    return {
        "picked_by": "menu", "per_size": 3, "judged_by": "cifar10", "size_metric": "params",
        "cells": [{"code": FREE, "place": 1}],
        "first_choices_vs_true": {"hypervolume_ratio": 0.9123456},
        "found_vs_true": {"hypervolume_ratio": 0.95},
        "compared": [
            {"name": "random", "per_size": 1, "hypervolume_ratio": 0.9, "interval": [0.8, 0.95]},
            {"name": "prior", "per_size": 3, "hypervolume_ratio": 0.99, "datasets": []},
            {"name": "random", "per_size": 3, "hypervolume_ratio": 0.94, "interval": [0.9, 0.95]},
            {"name": "prior", "per_size": 1, "hypervolume_ratio": 0.975, "datasets": []},
        ],
    }  # fmt: skip


def run_of(name: str, rows: tuple[Row, ...] = ROWS) -> Run:
    """The run of a plan with this name."""
    return next(planned for planned in runs_of(rows) if planned.name == name)


def read(config: EvidenceConfig) -> dict[str, Any]:
    """evidence.json."""
    found: dict[str, Any] = json.loads((Path(config.out) / "evidence.json").read_text())
    return found
