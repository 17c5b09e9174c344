"""Checkpoints: what is refused, which one is taken, and that loading runs no code."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.errors import UserError
from supernet.runs.checkpoint import (
    DamagedCheckpoint,
    load_checkpoint,
    load_last,
    save_checkpoint,
    save_last,
)

HASH = "0123456789ab"


def save(path: Path, **content: Any) -> None:
    save_checkpoint(path, "search", HASH, content)


def save_steps(folder: Path, *steps: int) -> None:
    """A checkpoint after each of these steps, one after the other."""
    for step in steps:
        state = {"step": step, "net": torch.randn(1000)}
        save_last(folder, "search", HASH, {"state": state, "seconds": 1.5})


def step_of(folder: Path) -> int:
    return int(load_last(folder, "search", HASH)["state"]["step"])


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path / "c.pt", x=torch.arange(3), step=4)
    state = load_checkpoint(tmp_path / "c.pt", "search", HASH)
    assert state["step"] == 4 and state["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "c.pt"
    save(path, x=torch.randn(1000))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DamagedCheckpoint, match=r"c\.pt cannot be read .*cut short"):
        load_checkpoint(path, "search", HASH)


def test_every_changed_byte_of_a_record_is_found(tmp_path: Path) -> None:
    path, draw = tmp_path / "c.pt", random.Random(0)
    save(path, x=torch.zeros(1000))
    whole = path.read_bytes()
    first = whole.index(bytes(4000))
    for place in (first, first + 3999, *(draw.randrange(first, first + 4000) for _ in range(20))):
        path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
        with pytest.raises(DamagedCheckpoint, match=r"Bad CRC-32 for file '.*data/0'"):
            load_checkpoint(path, "search", HASH)


def test_a_changed_byte_anywhere_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path, draw = tmp_path / "c.pt", random.Random(1)
    save(path, x=torch.arange(50), step=4)
    whole = path.read_bytes()
    for _ in range(300):
        place = draw.randrange(len(whole))
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :]
        )
        try:
            state = load_checkpoint(path, "search", HASH)
        except UserError:
            continue
        assert state["step"] == 4 and state["x"].tolist() == list(range(50))


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedCheckpoint, match=r"c\.pt is missing"):
        load_checkpoint(tmp_path / "c.pt", "search", HASH)
    torch.save({"format": 99}, tmp_path / "new.pt")
    with pytest.raises(UserError, match="has format 99, this version reads format 3"):
        load_checkpoint(tmp_path / "new.pt", "search", HASH)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="has format list"):
        load_checkpoint(tmp_path / "list.pt", "search", HASH)


def test_a_checkpoint_of_another_kind_or_config_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save(path)
    with pytest.raises(UserError, match="is of a search, not of a training"):
        load_checkpoint(path, "training", HASH)
    with pytest.raises(UserError, match=rf"another config \(hash {HASH}\) than .*aaaa"):
        load_checkpoint(path, "search", "aaaa")


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    save_steps(tmp_path, 1, 2, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-before.pt", "checkpoint.pt",
    ]  # fmt: skip
    assert step_of(tmp_path) == 3


@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
def test_where_the_last_is_damaged_the_one_before_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    save_steps(tmp_path, 1, 2)
    path = tmp_path / "checkpoint.pt"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 2000 * (damage == "cut")])
    assert step_of(tmp_path) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"warning: checkpoint {path} ") and said.count("\n") == 1
    assert said.endswith("going on from the one before it\n")


def test_where_both_are_damaged_the_message_says_what_to_delete(tmp_path: Path) -> None:
    save_steps(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"PK")
    with pytest.raises(DamagedCheckpoint, match=r"delete .*t\.pt and .*-before\.pt, and --r"):
        load_last(tmp_path, "search", HASH)


def test_a_checkpoint_of_another_run_is_no_damage(tmp_path: Path) -> None:
    save_steps(tmp_path, 1)
    save_last(tmp_path, "search", "another", {"state": {}, "seconds": 0.0})
    with pytest.raises(UserError, match="another config"):
        load_last(tmp_path, "search", HASH)


@pytest.mark.parametrize("content", [{}, {"state": {}}, {"state": [], "seconds": 0.0},
                                     {"state": {}, "seconds": float("nan")}])  # fmt: skip
def test_a_checkpoint_without_its_parts_is_damaged(tmp_path: Path, content: dict[str, Any]) -> None:
    save_last(tmp_path, "search", HASH, content)
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        load_last(tmp_path, "search", HASH)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 3, "bomb": _Bomb()}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "c.pt", "search", HASH)
    assert not (tmp_path / "exploded").exists()
