"""A search of seconds in a run directory, and what its tests do to that directory."""

import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supernet.runs.checkpoint import load_last
from supernet.runs.search_run import (
    run_search,
)
from supernet.search.config import SearchConfig
from supernet.search.search import Search

QUICK = SearchConfig(
    robust=True, C=2, N=1, epochs=3, warmup_epochs=1, batch_size=20, limit=100, alpha_lr=0.01,
    attack="n_fgsm", beta_decay=1.0, probe_images=20, proposals=("supernet",), refine_moves=0,
    processes=1,
)  # fmt: skip


def search_in(folder: Path, **fields: object) -> Path:
    config = dataclasses.replace(QUICK, out=str(folder), **fields)  # type: ignore[arg-type]
    return run_search(config, quiet=True)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Press Ctrl-C in the middle of a step."""
    train_step = Search.train_step

    def pressed(search: Search) -> None:
        if search.step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)
        train_step(search)

    monkeypatch.setattr(Search, "train_step", pressed)


@contextmanager
def killed_in(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> Iterator[None]:
    """Inside, what runs ends where it calls this method."""

    def killed(self: object) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, killed)
        with pytest.raises(SystemExit):
            yield


def state_of(folder: Path) -> dict[str, Any]:
    """The last checkpoint's state, read by whoever knows the run's config."""
    config_hash = json.loads((folder / "config.json").read_text())["config_hash"]
    state: dict[str, Any] = load_last(folder, "search", config_hash)["state"]
    return state


def edited(folder: Path, **changes: object) -> Path:
    """config.json with other values."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def comparable(folder: Path) -> list[dict[str, object]]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "step_seconds", "peak_memory_mb"}
    return [{k: v for k, v in record.items() if k not in timed} for record in records]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that was never interrupted, with its pictures."""
    return search_in(tmp_path_factory.mktemp("runs") / "whole")
