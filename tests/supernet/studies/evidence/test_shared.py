"""Short trainings shared by searches: each once, no other images, whole files."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.search.config import SearchConfig
from supernet.studies.evidence.shared import SharedTrainings

CONFIG = SearchConfig(dataset="cifar10", seed=5)


def outcome(seconds: float) -> dict[str, Any]:
    return {
        "loss": 1.5, "acc": 0.5, "robust_loss": None, "robust_acc": None, "train_loss": 1.25,
        "seconds": seconds,
    }  # fmt: skip


def line(cell: str, steps: int, seconds: float = 1.5) -> dict[str, Any]:
    return {"cell": cell, "seed": 5000, "steps": steps, "outcome": outcome(seconds)}


def write(folder: Path, *lines: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "refine.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return folder


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "refine.jsonl").read_text().splitlines()]


def test_the_next_search_is_lent_what_others_trained(tmp_path: Path) -> None:
    shared = SharedTrainings(tmp_path / "judged")
    a, b, c = line("333333", 50), line("333133", 50), line("333133", 100)
    shared.take(CONFIG, write(tmp_path / "first", a, b))
    shared.take(CONFIG, write(tmp_path / "second", b, c))
    shared.lend(CONFIG, tmp_path / "third")
    assert read(tmp_path / "third") == [a, b, c]


def test_what_a_stopped_search_has_stays(tmp_path: Path) -> None:
    shared = SharedTrainings(tmp_path / "judged")
    own, known = line("222222", 50), line("333333", 50)
    shared.take(CONFIG, write(tmp_path / "first", known))
    stopped = write(tmp_path / "stopped", own, {**known, "outcome": outcome(9.0)})
    with (stopped / "refine.jsonl").open("a") as stream:
        stream.write('{"cell": "3331')  # killed while it wrote
    shared.lend(CONFIG, stopped)
    assert read(stopped) == [known, own]


def test_nothing_is_lent_where_nothing_is_known(tmp_path: Path) -> None:
    shared = SharedTrainings(tmp_path / "judged")
    shared.lend(CONFIG, tmp_path / "first")
    shared.take(CONFIG, tmp_path / "first")
    assert list(tmp_path.iterdir()) == []


def test_seeds_and_data_sets_have_files_of_their_own(tmp_path: Path) -> None:
    shared = SharedTrainings(tmp_path / "judged")
    shared.take(CONFIG, write(tmp_path / "first", line("333333", 50)))
    for other in (dict(seed=6), dict(dataset="cifar100")):
        shared.lend(dataclasses.replace(CONFIG, **other), tmp_path / "other")  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()
    assert [path.name for path in (tmp_path / "judged").iterdir()] == ["cifar10-seed5.jsonl"]


@pytest.mark.parametrize("images", [dict(limit=100), dict(shrink=2), dict(side=8)])
def test_trainings_on_other_images_are_refused(tmp_path: Path, images: dict[str, int]) -> None:
    shared = SharedTrainings(tmp_path / "judged")
    shared.take(CONFIG, write(tmp_path / "first", line("333333", 50)))
    shared.check(dataclasses.replace(CONFIG, N=1, lr=0.1, epochs=7))
    other = dataclasses.replace(CONFIG, **images)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"seed5\.jsonl has short trainings on other images .*runs"):
        shared.check(other)
