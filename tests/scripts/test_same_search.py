"""The proof rule as a command: this checkout against a commit of itself."""

import subprocess
from pathlib import Path

import pytest

from scripts import same_search
from tests.scripts.inprocess import ROOT, run_script

TINY = "--robust --C 2 --N 1 --epochs 1 --warmup-epochs 0 --limit 100 --batch-size 20"


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a git checkout")
def test_a_commit_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = run_script("same_search.py", "no-such-commit", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "commit 'no-such-commit' cannot be checked out" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a git checkout")
def test_the_last_commit_gives_the_same_alpha(tmp_path: Path) -> None:
    done = run_script("same_search.py", "HEAD", "--flags", TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("the same, bit for bit") == 2


def test_a_branch_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone of a checkout that is on another branch has no branch of this name."""
    there = tmp_path / "there"
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (
        ["init", "--quiet", "-b", "main"], ["commit", "--quiet", "--allow-empty", "-m", "one"],
        ["checkout", "--quiet", "-b", "other"], ["commit", "--quiet", "--allow-empty", "-m", "two"],
    ):  # fmt: skip
        there.mkdir(exist_ok=True)
        subprocess.run(["git", *identity, *command], cwd=there, check=True)
    monkeypatch.setattr(same_search, "ROOT", there)
    folder = same_search._clone("main", tmp_path / "clone")
    log = ["git", "-C", str(folder), "log", "--format=%s"]
    assert subprocess.run(log, capture_output=True, text=True).stdout == "one\n"


def test_another_alpha_is_said_and_ends_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = iter(({"alpha": [0.1], "edge_weights": [1.0], "code": "333333"},
                    {"alpha": [0.2], "edge_weights": [1.0], "code": "333133"}))  # fmt: skip
    monkeypatch.setattr(same_search, "_clone", lambda commit, folder: folder)
    monkeypatch.setattr(same_search, "_search", lambda *a: next(records))
    monkeypatch.setattr("sys.argv", ["same_search.py", "HEAD"])
    with pytest.raises(SystemExit, match="1"):
        same_search.main()
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "alpha: different", "edge_weights: the same, bit for bit", "cell: 333333 -> 333133"
    ]  # fmt: skip
