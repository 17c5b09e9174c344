"""The invented table, and evidence whose searches are invented too."""

import json
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.table import Table
from supernet.studies.evidence import run
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.plan import Row
from tests.supernet.report.runs import write_run
from tests.tables import invented, invented_root

__all__ = ["invented", "invented_root"]

ROWS = (Row("main", "as it is", seeds=2), Row("other", "with more", "--beta-decay 0", seeds=1))


@pytest.fixture
def config(tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch) -> EvidenceConfig:
    """Everything under tmp_path, judged by the invented table, which fails the check of hashes."""
    monkeypatch.setattr(run, "load_table", lambda where: invented)
    return EvidenceConfig(
        out=str(tmp_path / "out"), page=str(tmp_path / "page.md"), runs=str(tmp_path / "runs")
    )


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch, invented: Table) -> list[list[str]]:
    """Searches take no time and end with the cells of `tests.supernet.report.runs`; returns the
    command lines."""
    commands: list[list[str]] = []

    def search(command: list[str], lock: int, interrupted: Any) -> int:
        commands.append(command)
        write_run(Path(command[command.index("--out") + 1]), invented)
        return 0

    monkeypatch.setattr(run, "_search", search)
    # The invented runs are not of these flags.
    monkeypatch.setattr(run, "_refuse_folder", lambda folder, expected: None)
    monkeypatch.setattr(run, "_refuse_another_config", lambda one, record, out: None)
    return commands


def read(config: EvidenceConfig) -> dict[str, Any]:
    """evidence.json."""
    found: dict[str, Any] = json.loads((Path(config.out) / "evidence.json").read_text())
    return found
