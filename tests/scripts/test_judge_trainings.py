"""scripts/judge_trainings.py: what it refuses, and what it says of sweeps that are kept."""

import json
from pathlib import Path

import pytest

from tests.scripts.inprocess import ROOT, run_script

pytestmark = pytest.mark.slow

EVIDENCE = ROOT / "docs" / "results" / "search" / "evidence" / "evidence.json"


def test_a_mistake_is_one_sentence_before_anything_is_written(tmp_path: Path) -> None:
    done = run_script("judge_trainings.py", "--steps", "100,50", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --steps must rise")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [["--sweeps", "evidence.json"], ["--inherit", "runs/x"]])
def test_flags_that_would_do_nothing_are_refused(mode: list[str], tmp_path: Path) -> None:
    done = run_script("judge_trainings.py", *mode, "--shrink", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {mode[0]} takes no --shrink; leave it out\n"


def test_the_sweeps_of_the_evidence_say_what_the_record_says(tmp_path: Path) -> None:
    done = run_script("judge_trainings.py", "--sweeps", str(EVIDENCE), "--out", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "x/sweeps.md and sweeps.json\n"
    kept = ROOT / "docs" / "results" / "trainings" / "sweeps"
    for name in ("sweeps.json", "sweeps.md"):
        assert (tmp_path / "x" / name).read_text() == (kept / name).read_text()
    assert all(record["weight"] in (0, 0.1, 0.3, 0.5, 1, 2, None)
               for record in json.loads((kept / "sweeps.json").read_text())["weights"])  # fmt: skip
