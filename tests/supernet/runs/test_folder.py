"""The folder of a run: what is refused before anything is written, and what a start removes."""

import json
from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.runs.folder import FORMAT, clear, fingerprint, has_checkpoint, new_folder, old_folder
from supernet.runs.lock import locked

DESCRIPTION = {"format": FORMAT, "kind": "search", "config": {}}


def begun(folder: Path, **changes: object) -> Path:
    """The folder of a search that ended before its first checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(DESCRIPTION | changes))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_is_named_and_locked(tmp_path: Path) -> None:
    with new_folder(str(tmp_path / "a" / "run"), tmp_path, "search") as folder:
        assert folder == tmp_path / "a" / "run" and names(folder) == [".lock"]
        with pytest.raises(UserError, match="is in use by process"), locked(folder):
            pass


def test_two_automatic_folders_are_two(tmp_path: Path) -> None:
    with (
        new_folder(None, tmp_path / "run", "search") as one,
        new_folder(None, tmp_path / "run", "search") as two,
    ):
        assert [one.name, two.name] == ["run", "run-2"]


def test_two_runs_do_not_get_one_folder(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    with (
        new_folder(out, tmp_path, "search"),
        pytest.raises(UserError, match=f"{out} is in use by process"),
        new_folder(out, tmp_path, "search"),
    ):
        pass


def test_a_run_without_a_checkpoint_starts_anew(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    for name in ("metrics.jsonl", "events.out.tfevents.1.x", ".report.md.abcd_123.tmp"):
        (folder / name).touch()
    (folder / "refine.jsonl").touch()
    with new_folder(str(folder), tmp_path, "search"):
        assert names(folder) == [".lock", "config.json", "refine.jsonl"]


def test_what_a_run_would_overwrite_is_refused(tmp_path: Path) -> None:
    training = begun(tmp_path / "training", kind="training")
    older = begun(tmp_path / "older", format=2)
    foreign, other = tmp_path / "foreign", begun(tmp_path / "other")
    foreign.mkdir()
    (foreign / "report.md").touch()
    (other / "config.json").write_text("[1]")
    whole = begun(tmp_path / "whole")
    (whole / "checkpoint-before.pt").touch()
    for folder, message in (
        (training, r"holds a training, not a search; scripts/train\.py made it"),
        (older, "has format 2"),
        (foreign, r"has no config\.json, but report\.md, which a run would overwrite; give anoth"),
        (other, r"is not the config\.json of a run"),
        (whole, f"already holds a run; use --resume {whole} or another --out"),
    ):
        before = names(folder)
        with (
            pytest.raises(UserError, match=message),
            new_folder(str(folder), tmp_path, "search"),
        ):
            pass
        assert names(folder) == before, "nothing is written"


def test_a_folder_with_other_files_is_taken(tmp_path: Path) -> None:
    (tmp_path / "output.txt").touch()
    with new_folder(str(tmp_path), tmp_path, "search"):
        assert names(tmp_path) == [".lock", "output.txt"]


def test_a_run_that_goes_on_loses_its_leftovers_alone(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = [".hidden", ".a.tmp", "a.abcd_123.tmp", "metrics.jsonl", "figures/.x", "elsewhere"]
    for name in (".checkpoint.pt.abcd_123.tmp", "figures/.cell.svg.00000000.tmp", *kept[:5]):
        (tmp_path / name).touch()
    (elsewhere / ".x.abcd_123.tmp").touch()
    with old_folder(tmp_path):
        found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert found == {*kept, ".lock", "figures", "elsewhere/.x.abcd_123.tmp"}


def test_leftovers_behind_a_link_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / ".x.abcd_123.tmp").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "figures").symlink_to(tmp_path / "real")
    clear(tmp_path / "run")
    assert names(tmp_path / "real") == [".x.abcd_123.tmp"]


def test_what_a_killed_write_leaves_is_a_leftover(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a b.json"):
        (left,) = tmp_path.iterdir()
        with old_folder(tmp_path):
            assert names(tmp_path) == [".lock"]
        left.touch()  # for the end of the write


def test_whichever_checkpoint_is_there_counts(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path)
    (tmp_path / "checkpoint-before.pt").touch()
    assert has_checkpoint(tmp_path)


def test_a_fingerprint_is_of_values_whatever_their_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert len({fingerprint(v) for v in ({"a": 1}, {"a": 2}, {"b": 1}, {})}) == 4
