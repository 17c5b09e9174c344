"""What a worker does, without Ray: the line is what scripts/train.py and evaluate.py say."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.data import load_dataset
from supernet.data.sharing import as_arrays
from supernet.processes import one_thread
from supernet.runs.train_run import run_training
from supernet.studies.sweep.config import read_recipe
from supernet.studies.sweep.work import Plan, Task, train_and_measure
from supernet.train.config import TrainConfig
from supernet.train.evaluate import evaluate
from supernet.train.export import load_images_of, load_model

FLAGS = "quick --epochs 2 --C 4 --batch-size 16 --limit 64"


def _plan(recipe: str = FLAGS, **changes: Any) -> Plan:
    name, fields, _ = read_recipe(f"r={recipe}")
    data = load_dataset("digits", limit=fields["limit"], test_limit=20)
    plan = {
        "recipes": {name: fields}, "images": {fields["limit"]: as_arrays(data)},
        "digests": {fields["limit"]: data.digest}, "attacks": ("clean", "fgsm", "pgd"),
        "radii": None, "threads": 1, "on_gpu": False,
    }  # fmt: skip
    return Plan(**{**plan, **changes})


@pytest.mark.slow
def test_a_line_says_what_training_and_evaluating_the_cell_alone_say(tmp_path: Path) -> None:
    line = train_and_measure(_plan(), Task("313121", 3, "r"))
    json.dumps(line, allow_nan=False)
    config = TrainConfig(
        genotype="313121", dataset="digits", N=1, C=4, epochs=2, batch_size=16, attack="n_fgsm",
        limit=64, seed=3, probe_images=0, out=str(tmp_path / "alone"),
    )  # fmt: skip
    with one_thread():
        folder = run_training(config, quiet=True)
        model, facts = load_model(folder, torch.device("cpu"))
        model.use_layout(torch.channels_last)
        data = load_images_of(facts, None, limit=0, test_limit=20)
        rows = evaluate(model, data, attacks=("clean", "fgsm", "pgd"))
    expected = {row["name"]: row["accuracy"] for row in rows if row["attack"] != "worst_case"}
    assert line["results"] == expected and len(expected) == 5
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["train_loss"] == pytest.approx(last["train_loss"], rel=1e-12)
    assert (line["status"], line["reason"], line["seed"]) == ("done", None, 3)
    assert line["params"] == sum(p.numel() for p in model.parameters())
    assert line["machine"]["threads"] == 1 and line["seconds"] > 0


def test_a_training_that_diverges_is_a_line_with_the_reason() -> None:
    line = train_and_measure(_plan(f"{FLAGS} --lr 1e30"), Task("333333", 0, "r"))
    assert line["status"] == "diverged" and "diverged: " in line["reason"]
    assert line["results"] == {} and line["measured"] == []
    json.dumps(line, allow_nan=False)


def test_images_are_not_written_to() -> None:
    plan = _plan()
    for fields in plan.images.values():
        for name in ("train_x", "train_y", "test_x", "test_y"):
            fields[name].flags.writeable = False  # as in memory that processes share
    assert train_and_measure(plan, Task("111111", 0, "r"))["status"] == "done"
