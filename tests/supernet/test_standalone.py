import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet import standalone
from supernet.errors import UserError
from supernet.export import load_model
from supernet.interrupts import Interrupted
from supernet.standalone import resume_training, run_training
from supernet.tracking import read_metrics
from supernet.train_config import TrainConfig


def _config(out: Path | None, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "genotype": "313021", "dataset": "digits", "limit": 100, "C": 4, "N": 1, "epochs": 2,
        "batch_size": 32, "attack": "fgsm", "probe_images": 10, "out": out and str(out),
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


def _interrupt_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    count = 0

    @contextmanager
    def deferred() -> Any:
        def interrupted() -> bool:
            nonlocal count
            count += 1
            return count == steps

        yield interrupted

    patch.setattr(standalone, "deferred_interrupts", deferred)


def test_a_run_leaves_model_metrics_and_config(tmp_path: Path) -> None:
    folder = run_training(_config(tmp_path / "run"), quiet=True)
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "checkpoint.pt", "metrics.jsonl", "model.pt", "model.json"} <= names
    assert any(name.startswith("events") for name in names)
    records = read_metrics(folder / "metrics.jsonl")
    assert [(record["epoch"], record["step"]) for record in records] == [(1, 3), (2, 6)]
    assert {"train_loss", "train_robust_acc", "test_clean_acc", "test_robust_acc", "lr"} <= set(
        records[0]
    )
    network, metadata = load_model(folder)
    assert network.genotype.code == "313021" and metadata["dataset"] == "digits"
    assert metadata["epochs"] == 2 and metadata["eps"] == 32 / 255
    assert json.loads((folder / "config.json").read_text())["kind"] == "stand-alone training"


@pytest.mark.parametrize("steps", [3, 4, 5])
def test_an_interrupted_run_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole = run_training(_config(tmp_path / "whole", ema=True), quiet=True)
    part = tmp_path / "part"
    with monkeypatch.context() as patch:
        _interrupt_after(patch, steps)
        with pytest.raises(Interrupted, match=f"scripts/train.py --resume {part}"):
            run_training(_config(part, ema=True), quiet=True)
    assert not (part / "model.pt").exists()
    resume_training(part, {}, quiet=True)
    one, two = (torch.load(folder / "model.pt", weights_only=True) for folder in (whole, part))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    kept = ("epoch", "step", "train_loss", "test_robust_acc")
    first, second = (read_metrics(folder / "metrics.jsonl") for folder in (whole, part))
    assert [[r[k] for k in kept] for r in first] == [[r[k] for k in kept] for r in second]


def test_resume_refuses_what_does_not_fit(tmp_path: Path) -> None:
    folder = run_training(_config(tmp_path / "run", epochs=1), quiet=True)
    with pytest.raises(UserError, match=r"another config \(lr: 0.1 -> 0.2\)"):
        resume_training(folder, {"lr": 0.2}, quiet=True)
    whole = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"checkpoint\.pt cannot be read"):
        resume_training(folder, {}, quiet=True)
    with pytest.raises(UserError, match="holds no stand-alone training"):
        resume_training(tmp_path, {}, quiet=True)
    with pytest.raises(UserError, match="already holds a run; use --resume"):
        run_training(_config(folder), quiet=True)


def test_a_searchs_cell_is_trained_beside_it_on_its_images(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"config": {"side": None}}))
    (tmp_path / "genotype.json").write_text(json.dumps({"code": "313021", "dataset": "digits"}))
    config = _config(None, genotype=str(tmp_path / "genotype.json"), dataset=None, epochs=1)
    for name in ("standalone", "standalone-2"):
        folder = run_training(config, quiet=True)
        assert folder == tmp_path / name
    assert load_model(folder)[1]["dataset"] == "digits"
    saved = json.loads((folder / "config.json").read_text())["config"]
    assert saved["dataset"] == "digits"


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
