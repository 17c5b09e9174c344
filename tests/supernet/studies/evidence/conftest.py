"""The invented table, and evidence whose searches take no time."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.benchmark.table import Table
from supernet.data import ImageData, load_dataset
from supernet.files import write_json
from supernet.runs.folder import FORMAT
from supernet.runs.front_json import front_record
from supernet.runs.genotype_json import genotype_record, shown_prior
from supernet.search.config import SearchConfig
from supernet.search.derive import derive
from supernet.search.proposals import propose
from supernet.studies.evidence import run
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.judge import random_fronts
from supernet.studies.evidence.plan import Row, runs_of
from tests.tables import invented, invented_root

__all__ = ["invented", "invented_root"]

ROWS = (Row("main", "as it is", seeds=2), Row("other", "with more", "--beta-decay 0", seeds=1))
CELLS = {"alpha": "333333", "gains": "323133", "inner_gains": "333133"}
"""What every invented search ends with."""


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """Images of ten classes."""
    return load_dataset("digits")


@pytest.fixture(scope="session")
def few_fronts(invented: Table) -> list[dict[str, Any]]:
    """Random fronts of few draws, once: 500 draws take seconds."""
    return random_fronts(invented, draws=5)


@pytest.fixture
def config(
    tmp_path: Path,
    invented: Table,
    few_fronts: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> EvidenceConfig:
    """Everything under tmp_path, judged by the invented table, which fails the check of hashes."""
    monkeypatch.setattr(run, "load_table", lambda where: invented)
    monkeypatch.setattr(run, "random_fronts", lambda table: few_fronts)
    monkeypatch.setattr(run, "found_front", lambda record, table, path: None)  # half a second each
    return EvidenceConfig(
        out=str(tmp_path / "out"), page=str(tmp_path / "page.md"), runs=str(tmp_path / "runs")
    )


@pytest.fixture
def searches(
    monkeypatch: pytest.MonkeyPatch, invented: Table, digits: ImageData
) -> list[list[str]]:
    """Searches of ROWS take no time and end with CELLS; returns the command lines."""
    commands: list[list[str]] = []

    def search(command: list[str], lock: int, interrupted: Any) -> int:
        commands.append(command)
        write_search(Path(command[command.index("--out") + 1]), digits, invented)
        return 0

    monkeypatch.setattr(run, "_search", search)
    return commands


def write_search(folder: Path, data: ImageData, table: Table) -> Path:
    """The files of a finished search, by the code that writes those of real ones, on invented
    gains. The folder's name says which run of ROWS it is."""
    config: SearchConfig = next(
        run.config() for run in runs_of(ROWS, "", (), ()) if run.name == folder.name
    )
    write_json(folder / "config.json", {
        "format": FORMAT, "kind": "search", "config": config.to_dict(),
        "config_hash": config.hash(), "device": "a test", "impl": "batched",
        "data": {"source": "some images"}, "versions": {"torch": "9.9"}, "commit": None,
    })  # fmt: skip
    alpha, whole, inner = (_pointing_at(CELLS[guide]) for guide in CELLS)
    w_EO = alpha.softmax(dim=1)
    derivation = derive(w_EO, (whole, inner), by=config.derive_by, allow_none=False)
    answers, menu = (
        propose(
            table, inner, shown_prior(config), follows_prior=bool(config.prior_datasets),
            robust=config.robust, allow_none=allow_none,
        )
        for allow_none in (False, True)
    )  # fmt: skip
    record = genotype_record(config, data, derivation, answers, alpha, w_EO, table, 95.0)
    write_json(folder / "front.json", front_record(config, data, menu))
    write_json(folder / "genotype.json", record)
    return folder


def _pointing_at(code: str) -> torch.Tensor:
    """(6, 5): 1 for the operators of a cell, and less the further an operator is from them."""
    ops = torch.tensor([int(digit) for digit in code])
    return 1 - (torch.arange(5) - ops[:, None]).abs() / 5


def read(config: EvidenceConfig) -> dict[str, Any]:
    """evidence.json."""
    found: dict[str, Any] = json.loads((Path(config.out) / "evidence.json").read_text())
    return found
