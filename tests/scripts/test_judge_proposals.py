"""scripts/judge_proposals.py: its files, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.scripts.inprocess import run_script

pytestmark = pytest.mark.slow


def test_it_judges_searches_and_needs_none(tmp_path: Path) -> None:
    search = {
        "dataset": "cifar10", "seed": 2,
        "derivation": {"inner_gains": [[0, 0.1, 0.2, 0.4, 0]] * 6},
    }  # fmt: skip
    (tmp_path / "genotype.json").write_text(json.dumps(search))
    done = run_script("judge_proposals.py", "genotype.json", "--out", "judged", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "judged/proposals.md and proposals.json (searches: 1)\n"
    record = json.loads((tmp_path / "judged" / "proposals.json").read_text())
    assert record["searches"][0]["seed"] == 2
    assert "## ImageNet16-120" in (tmp_path / "judged" / "proposals.md").read_text()


def test_a_search_that_cannot_be_judged_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text(json.dumps({"dataset": "digits"}))
    done = run_script("judge_proposals.py", "genotype.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: genotype.json is not of a search on cifar10")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "runs").exists()
