"""Killing runs: they end as if nothing had been, and the comparison sees a single bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts import kill_test
from tests.scripts.inprocess import ROOT


@pytest.mark.slow
def test_killed_runs_end_the_same(tmp_path: Path) -> None:
    """In a process of its own, since a fork of this one would have its threads."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/kill_test.py"), "--kills", "2", "--out", "kills.json"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6 and all(line.endswith(": the same end") for line in lines)
    written = json.loads((tmp_path / "kills.json").read_text())
    assert [kill["faults"] for kill in written["kills"]] == [[]] * 6
    assert set(written["counts"]) == {"search", "train", "rank"}
    assert written["counts"]["search"] == {"kills": 2, "with_faults": 0}


def test_results_are_compared_bit_for_bit_but_for_times(tmp_path: Path) -> None:
    w = torch.tensor([1.0, float("nan")])
    path = tmp_path / "checkpoint.pt"
    torch.save({"seconds": 1.0, "state": [w]}, path)
    first = kill_test._read(path)
    torch.save({"seconds": 2.0, "state": [w.clone()]}, path)
    assert kill_test._read(path) == first
    for other in (torch.nextafter(w, torch.full((2,), 9.0)), w.double(), w[None]):
        torch.save({"seconds": 1.0, "state": [other]}, path)
        assert kill_test._read(path) != first
    assert kill_test._read(tmp_path / "genotype.json") is None


def test_half_written_files_are_seen(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(9)}, tmp_path / "whole.pt")
    (tmp_path / "whole.json").write_text(json.dumps({"a": 1}))
    assert all(kill_test._is_whole(path) for path in tmp_path.iterdir())
    for path in list(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:-1])
    assert not any(kill_test._is_whole(path) for path in tmp_path.iterdir())
