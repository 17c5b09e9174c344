"""The folder of a run: what is refused before a start, what a start removes, what is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.runs.folder import (
    FORMAT,
    clear,
    fingerprint,
    has_checkpoint,
    new_folder,
    old_folder,
    read_description,
)
from supernet.runs.lock import locked
from supernet.runs.tracking import _keep_until

GOOD: dict[str, Any] = {
    "format": FORMAT, "kind": "search", "config": {}, "config_hash": "0", "command": "x",
    "data": {"name": "digits", "source": "x"}, "device": "cpu", "device_type": "cpu", "threads": 1,
    "versions": {"robust-supernet": "0.1.0"}, "impl": "batched",
}  # fmt: skip


def begun(folder: Path, **changes: object) -> Path:
    """The folder of a search that ended before its first checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(GOOD | changes))
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


def read(folder: Path, content: Any) -> dict[str, Any]:
    (folder / "config.json").write_text(json.dumps(content))
    return read_description(folder, "search")


def test_what_a_run_writes_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == GOOD


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": [1]}, r"has format unknown \(robust-supernet 0.1.0\)"),
        ({"format": 2, "versions": [3]}, r"has format 2 \(robust-supernet of an unknown version\)"),
        ({"format": 2, "versions": {"robust-supernet": {}}}, "of an unknown version"),
        ({"kind": ["search"]}, "holds another run, not a search"),
        ({"kind": "training"}, "holds a training, not a search; scripts/train.py made it"),
        ({"config": []}, "is not the config.json of a run"),
        ({"data": "digits"}, "data is 'digits', not an object"),
        ({"data": {"name": 3, "source": ""}}, "data.name is 3, not text"),
        ({"threads": "2"}, "threads is '2', not a whole number"),
        ({"impl": "cuda"}, "impl is 'cuda', not reference"),
        ({"impl": None}, "impl is None, not reference"),
    ],
)
def test_an_odd_description_is_named(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        read(tmp_path, {**GOOD, **change})


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    for name in set(GOOD) - {"format", "kind", "config"}:
        with pytest.raises(UserError, match=rf"config\.json is not as .*it has no {name}\)"):
            read(tmp_path, {key: value for key, value in GOOD.items() if key != name})


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.symlink_to(tmp_path / "elsewhere")
    _keep_until(log, None)
    log.write_text("{}\n")
    assert not (tmp_path / "elsewhere").exists() and not log.is_symlink()
    (tmp_path / "elsewhere").write_text("mine\n")
    log.unlink()
    log.symlink_to(tmp_path / "elsewhere")
    _keep_until(log, None)
    assert (tmp_path / "elsewhere").read_text() == "mine\n" and not log.is_symlink()
