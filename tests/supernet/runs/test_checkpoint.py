"""Checkpoints: what is refused, and that loading runs no code."""

import os
from pathlib import Path

import pytest
import torch

from supernet.errors import UserError
from supernet.runs.checkpoint import load_checkpoint, save_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"kind": "search", "x": torch.arange(3), "step": 4})
    state = load_checkpoint(tmp_path / "c.pt", "search")
    assert state["step"] == 4 and state["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"x": torch.randn(1000)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"c\.pt cannot be read .*cut short.*start the run again"):
        load_checkpoint(path, "search")


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "c.pt", "search")
    torch.save({"format": 99}, tmp_path / "new.pt")
    with pytest.raises(UserError, match="has format 99, this version reads format 2"):
        load_checkpoint(tmp_path / "new.pt", "search")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="has format list"):
        load_checkpoint(tmp_path / "list.pt", "search")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 2, "bomb": _Bomb()}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "c.pt", "search")
    assert not (tmp_path / "exploded").exists()
