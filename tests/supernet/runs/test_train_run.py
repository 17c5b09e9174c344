import dataclasses
import json
import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from supernet.cells.argument import read_cell
from supernet.errors import UserError
from supernet.files import read_jsonl
from supernet.runs import loop, train_run
from supernet.runs.interrupts import Interrupted
from supernet.runs.lock import locked
from supernet.runs.tracking import Tracker
from supernet.runs.train_run import resume_training, run_training
from supernet.train.config import TrainConfig
from supernet.train.export import load_model
from supernet.train.training import Training


def _config(out: Path | None, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "genotype": "313021", "dataset": "digits", "limit": 100, "C": 4, "N": 1, "epochs": 2,
        "batch_size": 32, "attack": "fgsm", "probe_images": 10, "out": out and str(out),
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch."""
    return run_training(_config(tmp_path_factory.mktemp("finished") / "run", epochs=1), quiet=True)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs whose weights are averaged."""
    return run_training(_config(tmp_path_factory.mktemp("ema") / "run", ema=True), quiet=True)


def _interrupt_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    count = 0

    @contextmanager
    def deferred() -> Any:
        def interrupted() -> bool:
            nonlocal count
            count += 1
            return count == steps

        yield interrupted

    patch.setattr(loop, "deferred_interrupts", deferred)


@pytest.mark.slow
def test_a_run_leaves_model_metrics_and_config(tmp_path: Path) -> None:
    folder = run_training(_config(tmp_path / "run"), quiet=True)
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "checkpoint.pt", "metrics.jsonl", "model.pt", "model.json"} <= names
    assert any(name.startswith("events") for name in names)
    records = read_jsonl(folder / "metrics.jsonl")
    assert [(record["epoch"], record["step"]) for record in records] == [(1, 3), (2, 6)]
    assert {"train_loss", "train_robust_acc", "test_clean_acc", "test_robust_acc", "lr"} <= set(
        records[0]
    )
    network, metadata = load_model(folder)
    assert network.genotype.code == "313021" and metadata["dataset"] == "digits"
    assert metadata["epochs"] == 2 and metadata["eps"] == 32 / 255
    assert json.loads((folder / "config.json").read_text())["kind"] == "training"


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 4, 5])
def test_an_interrupted_run_goes_on_bit_for_bit(
    averaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    part = tmp_path / "part"
    with monkeypatch.context() as patch:
        _interrupt_after(patch, steps)
        with pytest.raises(Interrupted, match=f"scripts/train.py --resume {part}"):
            run_training(_config(part, ema=True), quiet=True)
    assert not (part / "model.pt").exists()
    resume_training(part, {}, quiet=True)
    one, two = (torch.load(folder / "model.pt", weights_only=True) for folder in (averaged, part))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    kept = ("epoch", "step", "train_loss", "test_robust_acc")
    first, second = (read_jsonl(folder / "metrics.jsonl") for folder in (averaged, part))
    assert [[r[k] for k in kept] for r in first] == [[r[k] for k in kept] for r in second]


@pytest.mark.slow
def test_resume_refuses_what_does_not_fit(tmp_path: Path) -> None:
    folder = run_training(_config(tmp_path / "run", epochs=1), quiet=True)
    with pytest.raises(UserError, match=r"another config \(lr: 0.1 -> 0.2\)"):
        resume_training(folder, {"lr": 0.2}, quiet=True)
    whole = (folder / "checkpoint.pt").read_bytes()
    for name in ("checkpoint.pt", "checkpoint-before.pt"):
        (folder / name).write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"t\.pt cannot be read .*; delete (\S+) and (\S+), "):
        resume_training(folder, {}, quiet=True)
    (folder / "checkpoint.pt").unlink()
    (folder / "checkpoint-before.pt").unlink()
    resume_training(folder, {}, quiet=True)  # what the message says works
    with pytest.raises(UserError, match="is not a run directory"):
        resume_training(tmp_path, {}, quiet=True)
    with pytest.raises(UserError, match="already holds a run; use --resume"):
        run_training(_config(folder), quiet=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data", {"train_images": 99}, "another data .train_images: 99 -> 100.*--data-root"),
        ("device_type", "cuda", "another device_type .cuda -> cpu"),
    ],
)
def test_a_resume_in_other_surroundings_is_refused(
    finished: Path, tmp_path: Path, name: str, value: object, message: str
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    config = json.loads(path.read_text())
    config[name] = {**config[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        resume_training(tmp_path / "copy", {}, quiet=True)


def test_a_resume_elsewhere_is_refused_and_another_data_root_kept(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    with pytest.raises(UserError, match="remove --out"):
        resume_training(tmp_path / "copy", {"out": "elsewhere"}, quiet=True)
    resume_training(tmp_path / "copy", {"data_root": str(tmp_path)}, quiet=True)
    saved = json.loads((tmp_path / "copy" / "config.json").read_text())
    assert saved["config"]["data_root"] == str(tmp_path)
    assert saved["code"] == "313021"


def test_a_run_can_be_resumed_from_its_first_moment(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(training: Training) -> None:
        raise SystemExit("killed")

    closed = []
    with monkeypatch.context() as patch:
        patch.setattr(Training, "train_step", killed)
        close = Tracker.close
        patch.setattr(Tracker, "close", lambda self: (closed.append(1), close(self)))
        with pytest.raises(SystemExit):
            run_training(_config(tmp_path / "run", epochs=1), quiet=True)
    assert closed == [1], "the log is closed whatever ends the run"
    resume_training(tmp_path / "run", {}, quiet=True)
    folders = (finished, tmp_path / "run")
    one, two = (torch.load(folder / "model.pt", weights_only=True) for folder in folders)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    drawn = EventAccumulator(str(tmp_path / "run")).Reload().Images("cell")
    assert [picture.step for picture in drawn] == [0], "the cell is drawn once"


@pytest.mark.slow
def test_a_training_killed_before_its_first_checkpoint_starts_anew(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def killed(*arguments: object) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(loop, "save_last", killed)
        run_training(_config(tmp_path / "run", epochs=1), quiet=True)
    resume_training(tmp_path / "run", {}, quiet=True)
    assert "the training starts anew" in capsys.readouterr().err
    folders = (finished, tmp_path / "run")
    one, two = (torch.load(folder / "model.pt", weights_only=True) for folder in folders)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert len(list((tmp_path / "run").glob("events.*"))) == 1


def test_a_training_that_diverges_stops_with_its_last_good_checkpoint(tmp_path: Path) -> None:
    message = r"step \d diverged: .* lower --lr \(it is 1e\+20\); .*t\.pt is of step 0, before"
    with pytest.raises(UserError, match=message):
        run_training(_config(tmp_path / "run", lr=1e20), quiet=True)
    assert not (tmp_path / "run" / "model.pt").exists()
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]
    assert state["step"] == 0 and all(value.isfinite().all() for value in state["net"].values())


def test_a_training_has_its_folder_alone(finished: Path) -> None:
    with locked(finished), pytest.raises(UserError, match="is in use by process"):
        resume_training(finished, {}, quiet=True)


def test_a_checkpoint_of_another_cell_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "333333"}))
    with pytest.raises(UserError, match="is of another config"):
        resume_training(tmp_path / "run", {}, quiet=True)


def test_a_resume_may_name_the_device(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    resume_training(tmp_path / "run", {"device": "cpu"}, quiet=True)
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["config"]["device"] == "auto"


@pytest.mark.slow
def test_what_is_logged_is_on_the_disk_before_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, save = Tracker.flush, loop.save_last

    def flushed(tracker: Tracker) -> None:
        order.append("flush")
        flush(tracker)

    def saved(folder: Path, kind: str, config_hash: str, content: dict[str, Any]) -> None:
        order.append(f"step {content['state']['step']}")
        save(folder, kind, config_hash, content)

    monkeypatch.setattr(Tracker, "flush", flushed)
    monkeypatch.setattr(loop, "save_last", saved)
    run_training(_config(tmp_path / "run"), quiet=True)
    assert order == ["flush", "step 0", "flush", "step 3", "flush", "step 6"]


def test_ctrl_c_before_the_first_step_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "cell", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match="stopped after 0 of 3 steps"):
            run_training(_config(tmp_path / "run", epochs=1), quiet=True)
    resume_training(tmp_path / "run", {}, quiet=True)
    assert (tmp_path / "run" / "model.pt").exists()


@pytest.mark.slow
def test_ctrl_c_in_the_last_step_and_while_exporting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"stopped after 3 of 3 steps .*\n.*scripts/train.py --resume {tmp_path / 'run'}"
    train_step = Training.train_step

    def step_pressed(training: Training) -> None:
        if training.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        train_step(training)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "train_step", step_pressed)
        with pytest.raises(Interrupted, match=message):
            run_training(_config(tmp_path / "run", epochs=1), quiet=True)
    assert len(read_jsonl(tmp_path / "run" / "metrics.jsonl")) == 1

    def pressed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_run, "save_model", pressed)
        with pytest.raises(Interrupted, match=message):
            resume_training(tmp_path / "run", {}, quiet=True)
    assert not (tmp_path / "run" / "model.pt").exists()
    resume_training(tmp_path / "run", {}, quiet=True)
    assert load_model(tmp_path / "run")[1]["epochs"] == 1


@pytest.mark.slow
def test_a_searchs_cell_is_trained_beside_it_on_its_images(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")  # which makes the folder a search's
    record = {"code": "313021", "dataset": "digits", "side": None}
    (tmp_path / "genotype.json").write_text(json.dumps(record))
    config = _config(None, genotype=str(tmp_path / "genotype.json"), dataset=None, epochs=1)
    for name in ("standalone", "standalone-2"):
        folder = run_training(config, quiet=True)
        assert folder == tmp_path / name
    assert load_model(folder)[1]["dataset"] == "digits"
    saved = json.loads((folder / "config.json").read_text())["config"]
    assert saved["dataset"] == "digits"


@pytest.mark.parametrize("name", ["genotype.json", "front.json:0", "together.json"])
def test_a_folders_pictures_keep_the_side_they_were_searched_with(
    tmp_path: Path, name: str
) -> None:
    images = {"dataset": "folder:pictures", "side": 24}
    one = {"code": "313021", **images}
    (tmp_path / "genotype.json").write_text(json.dumps(one))
    (tmp_path / "together.json").write_text(json.dumps(one))
    (tmp_path / "front.json").write_text(json.dumps({**images, "cells": [{"code": "313021"}]}))
    config = _config(None, genotype=str(tmp_path / name), dataset=None)
    cell, record = read_cell(str(config.genotype))
    found = train_run.with_images(config, record)
    assert cell.code == "313021" and (found.dataset, found.side) == ("folder:pictures", 24)
    assert train_run.with_images(dataclasses.replace(config, side=32), record).side == 32
    elsewhere = dataclasses.replace(config, dataset="folder:/elsewhere/pictures")
    assert train_run.with_images(elsewhere, record).side == 24
    assert train_run.with_images(dataclasses.replace(config, dataset="digits"), record).side is None
    held = {**record, "val": "held"}
    assert train_run.with_images(config, held).val == "held"
    assert train_run.with_images(dataclasses.replace(config, val="b"), held).val == "b"
    assert train_run.with_images(elsewhere, held).val is None


def test_nothing_is_written_when_the_input_is_bad(tmp_path: Path) -> None:
    for changes, message in (
        ({"dataset": "mnist"}, "unknown data set 'mnist'"),
        ({"genotype": "|a~0|"}, "cell|edge|node"),
        ({"batch_size": 1000}, "a batch of 1000 cannot be taken from 100"),
        ({"device": "tpu"}, "device 'tpu'"),
    ):
        with pytest.raises(UserError, match=message):
            run_training(_config(tmp_path / "run", **changes), quiet=True)
    assert not list(tmp_path.iterdir())
