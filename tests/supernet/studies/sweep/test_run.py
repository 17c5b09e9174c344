"""The folder and its lines, with an engine that computes in this process."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.on_ray import Lost, Share
from supernet.runs.interrupts import Interrupted
from supernet.runs.lock import locked
from supernet.studies.sweep import run
from supernet.studies.sweep.config import SweepConfig
from supernet.studies.sweep.run import resume_sweep, run_sweep, summary
from supernet.studies.sweep.work import Plan, Task
from tests.shapes import write_shapes


class _Here:
    """Stands for Ray: lines are made up, and some items are lost or interrupted."""

    asked: list[Task]
    lost: set[str]
    stop_after: int | None

    def __init__(self, **options: Any) -> None:
        assert options["store_bytes"] > 0

    def __enter__(self) -> "_Here":
        return self

    def __exit__(self, *reason: object) -> None:
        pass

    def resources(self) -> dict[str, float]:
        return {"CPU": 2.0, "GPU": 0.0}

    def check(self, share: Share) -> None:
        assert share.gpus == 0

    def results(
        self, function: Callable[..., Any], plan: Plan, items: Sequence[Task], share: Share
    ) -> Iterator[tuple[Task, Any]]:
        for number, task in enumerate(items):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(task)
            if task.code in self.lost:
                yield task, Lost("WorkerCrashedError: gone")
                continue
            fields = plan.recipes[task.recipe]
            yield task, {
                "format": 1, "cell": task.code, "seed": task.seed, "recipe": task.recipe,
                "status": "done", "reason": None, "dataset": "digits", "num_classes": 10,
                "results": {"clean": 0.5}, "training": dict(fields), "seconds": 1.0,
                "images_digest": plan.digests[fields["limit"]],
            }  # fmt: skip


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> type[_Here]:
    _Here.asked, _Here.lost, _Here.stop_after = [], set(), None
    monkeypatch.setattr(run, "OnRay", _Here)
    return _Here


def _config(folder: Path, **changes: Any) -> SweepConfig:
    fields = {
        "cells": ("333333", "111111"), "seeds": (0, 1), "recipes": ("quick",), "test_limit": 20,
        "out": str(folder),
    }  # fmt: skip
    return SweepConfig(**{**fields, **changes})


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "table.jsonl").read_text().splitlines()]


def test_every_cell_seed_and_recipe_has_one_line_and_the_same_command_adds_none(
    tmp_path: Path, engine: type[_Here]
) -> None:
    recipes = ("quick", "b=quick --epochs 3 --limit 100")
    folder = run_sweep(_config(tmp_path, recipes=recipes), quiet=True)
    keys = {(line["cell"], line["seed"], line["recipe"]) for line in _lines(folder)}
    assert keys == {(c, s, r) for c in ("333333", "111111") for s in (0, 1) for r in ("quick", "b")}
    digests = {line["recipe"]: line["images_digest"] for line in _lines(folder)}
    assert digests["quick"] != digests["b"]  # of other numbers of images
    run_sweep(_config(tmp_path, recipes=recipes), quiet=True)
    resume_sweep(tmp_path, {}, quiet=True)
    assert len(engine.asked) == len(_lines(folder)) == 8
    assert "8 done" in summary(folder)


def test_interrupted_it_says_how_to_go_on_and_goes_on(tmp_path: Path, engine: type[_Here]) -> None:
    engine.stop_after = 3
    with pytest.raises(Interrupted, match=r"interrupted with 3 of 4 trainings in .*--resume"):
        run_sweep(_config(tmp_path), quiet=True)
    with (tmp_path / "table.jsonl").open("a") as stream:
        stream.write('{"cell": "1111')  # as a kill in the write leaves it
    engine.stop_after = None
    resume_sweep(tmp_path, {}, quiet=True)
    assert len(_lines(tmp_path)) == 4 and len(engine.asked) == 4


def test_a_second_process_is_refused_and_a_killed_one_in_no_ones_way(
    tmp_path: Path, engine: type[_Here]
) -> None:
    with locked(tmp_path):
        for cells in (("333333", "111111"), ("222222",)):
            with pytest.raises(UserError, match=f"{tmp_path} is in use by process"):
                run_sweep(_config(tmp_path, cells=cells), quiet=True)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"] and not engine.asked
    engine.stop_after = 0  # before its first line
    with pytest.raises(Interrupted, match="interrupted with 0 of 4"):
        run_sweep(_config(tmp_path), quiet=True)
    engine.stop_after = None
    run_sweep(_config(tmp_path), quiet=True)
    assert len(_lines(tmp_path)) == 4


def test_what_is_lost_is_a_line_and_is_repeated_on_demand(
    tmp_path: Path, engine: type[_Here]
) -> None:
    engine.lost = {"111111"}
    run_sweep(_config(tmp_path), quiet=True)
    failed = [line for line in _lines(tmp_path) if line["status"] == "failed"]
    assert len(failed) == 2 and failed[0]["reason"] == "WorkerCrashedError: gone"
    assert "2 done, 2 failed" in summary(tmp_path) and "--again" in summary(tmp_path)
    engine.lost = set()
    resume_sweep(tmp_path, {}, quiet=True)
    assert len(engine.asked) == 4
    resume_sweep(tmp_path, {"again": True}, quiet=True)
    assert len(engine.asked) == 6 and "4 done" in summary(tmp_path)
    resume_sweep(tmp_path, {}, quiet=True)  # --again holds for one start
    assert len(engine.asked) == 6


def test_cells_seeds_and_recipes_may_be_added_and_nothing_else_changed(
    tmp_path: Path, engine: type[_Here]
) -> None:
    run_sweep(_config(tmp_path), quiet=True)
    resume_sweep(tmp_path, {"cells": ("333333", "222222"), "seeds": (0, 1, 2)}, quiet=True)
    assert len(_lines(tmp_path)) == 4 + 2 + 2
    with pytest.raises(UserError, match=r"other settings \(attacks: .*; give another --out"):
        run_sweep(_config(tmp_path, attacks=("clean",)), quiet=True)
    description = json.loads((tmp_path / "config.json").read_text())
    description["data"]["num_classes"] = 9
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match="other images than these"):
        run_sweep(_config(tmp_path), quiet=True)


def test_another_recipe_of_the_same_name_is_refused(tmp_path: Path) -> None:
    run_sweep(_config(tmp_path, recipes=("a=quick",)), quiet=True)
    with pytest.raises(UserError, match=r"line 1 was trained by another recipe called 'a'"):
        run_sweep(_config(tmp_path, recipes=("a=quick --epochs 2",)), quiet=True)


def test_recipes_are_fitted_to_the_pictures_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shapes(tmp_path / "PICTURES", {"circle": 20, "square": 20})
    config = _config(
        tmp_path / "sweep", dataset=f"folder:{tmp_path / 'PICTURES'}", test_limit=None,
        recipes=("quick", "b=quick --batch-size 8 --epochs 3"),
    )  # fmt: skip
    folder = run_sweep(config)
    said = capsys.readouterr().out
    assert "side       32: the median picture is 44 pixels" in said
    assert said.index("recipe     quick\n") < said.index("batches    of 16: 2 an epoch, of 32")
    assert said.count("pictures   32 to learn from in 2 classes of 16 to 16, 8 held out") == 1
    assert said.endswith("recipe     b\n")  # nothing was chosen for it
    trained = {line["recipe"]: line["training"] for line in _lines(folder)}
    assert (trained["quick"]["batch_size"], trained["quick"]["epochs"]) == (16, 100)
    assert (trained["b"]["batch_size"], trained["b"]["epochs"]) == (8, 3)
    assert json.loads((folder / "config.json").read_text())["config"]["side"] == 32
    before = (folder / "table.jsonl").read_bytes()
    run_sweep(config, quiet=True)
    resume_sweep(folder, {}, quiet=True)
    assert (folder / "table.jsonl").read_bytes() == before
    assert capsys.readouterr().out == ""


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.jsonl").write_text("")
    with pytest.raises(UserError, match=r"has table.jsonl and no config.json"):
        run_sweep(_config(tmp_path), quiet=True)


def test_impossible_measurements_are_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="recipe quick has batches of 64 and there are 50"):
        run_sweep(_config(tmp_path / "a", recipes=("quick=quick --limit 50",)), quiet=True)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images_digest": "0" * 12}, "line 2 was trained on other images; give another --out"),
        ({"images_digest": None}, r"line 2 is not of a sweep \(images_digest is None, not text\)"),
        ({"cell": ["333333"]}, r"line 2 is not of a sweep \(cell is list, not text\)"),
        ({"training": "quick"}, r"line 2 is not of a sweep \(training is 'quick', not an object\)"),
        ({"status": 5}, r"line 2 is not of a sweep \(status is 5"),
    ],
)
def test_a_line_that_is_not_of_this_sweep_is_named(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    run_sweep(_config(tmp_path), quiet=True)
    lines = _lines(tmp_path)
    lines[1] |= change
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=words):
        run_sweep(_config(tmp_path), quiet=True)
