"""How processes come together, and what is said when they end."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from supernet.distributed import ALONE, Lost, Ranks
from supernet.errors import UserError
from supernet.torchrun import current, joined
from tests.ranks import together


def test_without_a_launcher_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with joined() as ranks:
        assert ranks is ALONE
        assert current() is ALONE
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():  # of a scheduler, say
        monkeypatch.setenv(name, value)
    with joined() as ranks:
        assert ranks is ALONE


def test_the_ranks_are_known_inside_alone(tmp_path: Path) -> None:
    assert together(2, lambda ranks: current() == ranks, tmp_path) == [True, True]
    assert current() is ALONE


def mistaken(ranks: Ranks) -> None:
    raise UserError("the folder is taken")


def pressed(ranks: Ranks) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def different(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise UserError("the images are not there")
    ranks.any(False)


def statuses(found: list[Any]) -> list[str]:
    return sorted(f"{type(e).__name__} {e}" for e in found)


def test_a_mistake_that_all_make_is_said_once(tmp_path: Path) -> None:
    found = together(3, mistaken, tmp_path)
    assert statuses(found) == ["SystemExit 2", "SystemExit 2", "UserError the folder is taken"]


def test_the_mistake_of_one_is_what_is_said(tmp_path: Path) -> None:
    """The other one, which loses it, keeps quiet."""
    found = together(2, different, tmp_path)
    assert statuses(found) == ["SystemExit 2", "UserError the images are not there"]


def test_told_to_end_they_end_as_by_ctrl_c(tmp_path: Path) -> None:
    began = time.monotonic()
    found = together(2, pressed, tmp_path)
    assert statuses(found) == ["KeyboardInterrupt ", "SystemExit 130"]
    assert time.monotonic() - began < 30


def test_a_killed_process_ends_the_others(tmp_path: Path) -> None:
    def killed(ranks: Ranks) -> None:
        if ranks.rank == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)  # SIGTERM comes while they are in their way out, or before
        ranks.any(False)

    began = time.monotonic()
    first, second, third = together(3, killed, tmp_path)
    assert third is None
    said = [error for error in (first, second) if isinstance(error, (Lost, KeyboardInterrupt))]
    assert said
    assert all(
        isinstance(error, (Lost, KeyboardInterrupt, SystemExit)) for error in (first, second)
    )
    assert time.monotonic() - began < 30


def test_processes_that_do_not_come_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supernet.torchrun._join", _refused)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": "1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(Lost, match="do not find each other"), joined():
        pass


def _refused() -> Ranks:
    raise RuntimeError("connection refused")
