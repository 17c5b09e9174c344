"""A stand-alone network's evaluation in the report: complete, and beside the table's values."""

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.report.run_files import RunFiles
from supernet.report.standalone import PANELS, section
from tests.supernet.report.runs import FOUND, write_run


def _result(name: str, accuracy: float, eps: float, **facts: Any) -> dict[str, Any]:
    attack = name.partition("_")[0]
    return {"name": name, "attack": attack, "accuracy": accuracy, "eps": eps, "seed": 7,
            "steps": 20, "seconds": 61.0, **facts}  # fmt: skip


def _evaluation(**changes: Any) -> dict[str, Any]:
    stages = [{"attack": "apgd_ce", "attacked": 80, "broken": 30, "accuracy": 0.25, "seconds": 5.0}]
    return {
        "code": FOUND.code, "C": 16, "N": 1, "weights": "average", "dataset": "cifar10",
        "split": "test", "images": 200, "stand_in": False, "precision": "float32",
        "device": "a test", "source": "the first 200 images",
        "results": [
            _result("clean", 0.4, 0.0, steps=0),
            _result("pgd_8", 0.3, 8 / 255),
            _result("autoattack", 0.2, 8 / 255, version="standard", stages=stages),
        ],
        "training": {
            "epochs": 4, "attack": "pgd", "attack_steps": 7, "batch_size": 64, "seed": 5,
            "data": {"name": "cifar10", "stand_in": False, "train_images": 5000},
        },
        **changes,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("supernet.report.run_files.load_table", lambda where: invented)
    monkeypatch.setattr(Figure, "savefig", lambda self, stream, **options: None)
    return write_run(tmp_path, invented)


def _section(folder: Path, evaluation: dict[str, Any]) -> str:
    (folder / "standalone").mkdir()
    (folder / "standalone" / "evaluation.json").write_text(json.dumps(evaluation))
    return "\n".join(section(RunFiles.read(folder)))


def test_rows_stand_beside_the_table(folder: Path, invented: Table) -> None:
    text = _section(folder, _evaluation())
    known = query_cell(invented, FOUND)["results"]["cifar10"]
    assert f"| none (clean) | - | 40.00 % | 1 min 1 s | {100 * known['clean']:.2f} % |" in text
    assert f"| PGD-20 | 8/255 | 30.00 % | 1 min 1 s | {100 * known['pgd_8']:.2f} % |" in text
    assert "| AutoAttack (standard) | 8/255 | 20.00 % |" in text
    assert "| apgd_ce | 80 | 30 | 25.00 % | 5 s |" in text


def test_uneven_classes_have_a_column(folder: Path) -> None:
    evaluation = _evaluation()
    for row in evaluation["results"]:
        row["balanced_accuracy"] = row["accuracy"] / 2
    text = _section(folder, evaluation)
    assert "| attack | eps | accuracy | by class | time | benchmark, CIFAR-10 |" in text
    assert "| PGD-20 | 8/255 | 30.00 % | 15.00 % | 1 min 1 s |" in text


def test_the_training_and_the_images_are_named(folder: Path) -> None:
    text = _section(folder, _evaluation())
    assert "trained for 4 epochs on 5,000 images of cifar10 with PGD-7, batch 64, seed 5" in text
    assert "the weights are a moving average" in text
    assert "Measured on 200 test images of cifar10, seed 7, float32" in text


def test_a_stand_in_is_not_compared(folder: Path) -> None:
    text = _section(folder, _evaluation(stand_in=True))
    assert "200 test images of a stand-in for cifar10" in text
    assert "benchmark, CIFAR-10" not in text


def test_curves_are_shown_where_the_training_left_them(folder: Path) -> None:
    (folder / "standalone").mkdir()
    (folder / "standalone" / "evaluation.json").write_text(json.dumps(_evaluation()))
    assert "standalone.svg" not in "\n".join(section(RunFiles.read(folder)))
    record = {"epoch": 1, "step": 1, "train_loss": 2.0}
    (folder / "standalone" / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    assert "figures/standalone.svg" in "\n".join(section(RunFiles.read(folder)))


def test_curves_are_those_that_a_training_records() -> None:
    drawn = {curve[0] for panel in PANELS for curve in panel[3]}
    assert drawn == {
        "train_loss", "train_clean_acc", "train_robust_acc", "test_clean_acc", "test_robust_acc",
    }  # fmt: skip


def test_without_an_evaluation_there_is_no_section(folder: Path) -> None:
    assert section(RunFiles.read(folder)) == []
