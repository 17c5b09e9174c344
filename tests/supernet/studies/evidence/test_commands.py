"""The command line of a run, and the process that it starts."""

import os
import sys
from pathlib import Path

import pytest

from supernet.invocation import ROOT
from supernet.studies.evidence import commands
from supernet.studies.evidence.commands import begin, command_of
from supernet.studies.evidence.config import EvidenceConfig
from tests.supernet.studies.evidence.conftest import run_of

SEARCH = str(ROOT / "scripts" / "search.py")


def test_what_is_called_for_a_folder(tmp_path: Path) -> None:
    planned, config = run_of("cifar10/other-seed5"), EvidenceConfig(runs=str(tmp_path))
    folder = tmp_path / "cifar10" / "other-seed5"
    start = command_of(planned, config)
    assert start == [
        sys.executable, SEARCH, *planned.flags, "--seed", "5", "--out", str(folder),
    ]  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")  # killed before its first checkpoint
    assert command_of(planned, config) == start
    (folder / "checkpoint.pt").touch()
    assert command_of(planned, config)[2:] == ["--resume", str(folder)]


@pytest.mark.parametrize(("jobs", "share"), [(2, 3), (4, 1), (9, 1)])
def test_jobs_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, share: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)))
    config = EvidenceConfig(runs=str(tmp_path), jobs=jobs)
    planned = run_of("cifar10/main-seed5")
    assert command_of(planned, config)[2:4] == ["--processes", str(share)]
    program = "import os; print(os.environ['OMP_NUM_THREADS'], 'of', os.environ['SOMETHING'])"
    monkeypatch.setenv("SOMETHING", "else")
    monkeypatch.setattr(commands, "command_of", lambda *_: [sys.executable, "-c", program])
    with open(os.devnull) as lock:
        assert begin(planned, config, lock.fileno()).wait(timeout=60) == 0
    said = tmp_path / "cifar10" / "main-seed5" / "output.txt"
    assert said.read_text() == f"{share} of else\n"


def test_one_job_keeps_threads_and_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    program = "import os; print(os.environ['OMP_NUM_THREADS'])"
    monkeypatch.setattr(commands, "command_of", lambda *_: [sys.executable, "-c", program])
    with open(os.devnull) as lock:
        process = begin(
            run_of("cifar10/main-seed5"), EvidenceConfig(runs=str(tmp_path)), lock.fileno()
        )
        assert process.wait(timeout=60) == 0
    assert capfd.readouterr().out == "5\n"
    assert not (tmp_path / "cifar10").exists()
