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


def test_the_sweeps_of_the_evidence_say_what_the_record_says(tmp_path: Path) -> None:
    done = run_script("judge_trainings.py", "--sweeps", str(EVIDENCE), "--out", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "x/judged.md and judged.json\n"
    kept = ROOT / "docs" / "results" / "trainings" / "sweeps"
    for name in ("judged.json", "judged.md"):
        assert (tmp_path / "x" / name).read_text() == (kept / name).read_text()
    assert all(record["weight"] in (0, 0.1, 0.3, 0.5, 1, 2, None)
               for record in json.loads((kept / "judged.json").read_text()))  # fmt: skip
