"""scripts/train.py and scripts/evaluate.py as a user runs them, one after the other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.scripts.inprocess import ROOT, Done, run_script

CELL = ["--genotype", "313021", "--dataset", "digits"]
SMALL = [*CELL, "--C", "4", "--N", "1", "--limit", "300", "--batch-size", "32", "--epochs", "3",
         "--attack", "fgsm", "--probe-images", "20"]  # fmt: skip


# Against a larger radius more images would survive, and AutoAttack would take twice the time.
TEN_EPOCHS = [*SMALL, "--epochs", "10", "--eps", "12/255"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """One training, never interrupted: where its folder `net` is, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    done = run_script("train.py", *TEN_EPOCHS, "--out", "net", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no cell was named; give --genotype"),
        (["--genotype", "313029"], "digit 9 names no operator"),
        (["--genotype", "|nor_conv_3x3~0|"], "|nor_conv_3x3~0|"),
        (["--genotype", "absent/genotype.json"], "cannot read absent/genotype.json"),
        ([*CELL, "--attack", "cw"], "--attack 'cw' is unknown; choose one of fgsm"),
        ([*CELL, "--preset", "tpu"], "--preset 'tpu' is unknown"),
        ([*CELL, "--batch-size", "2000"], "a batch of 2000 cannot be taken from 1438"),
        (["--genotype", "313021", "--dataset", "mnist"], "unknown data set 'mnist'"),
        (["--resume", "absent"], "absent is not a run directory"),
    ],
)
def test_bad_input_of_train(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run_script("train.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_next_command_looks_where_the_training_did(tmp_path: Path) -> None:
    for name in ("my data", "moved"):
        (tmp_path / name).mkdir()
    arguments = [*SMALL, "--epochs", "1", "--out", "net", "--data-root", "my data"]
    trained = run_script("train.py", *arguments, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    command = f"next       python {ROOT}/scripts/evaluate.py --model net/model.pt --data-root"
    assert trained.stdout.endswith(f"{command} 'my data'\n")
    resumed = run_script("train.py", "--resume", "net", "--data-root", "moved", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.endswith(f"{command} moved\n")


@pytest.mark.slow
def test_train_and_evaluate_with_all_attacks(trained: tuple[Path, Done]) -> None:
    folder, training = trained
    assert "epoch  10/10  loss" in training.stdout
    assert f"next       python {ROOT}/scripts/evaluate.py --model net/model.pt" in training.stdout
    done = run_script("evaluate.py", "--model", "net/model.pt", "--limit", "10", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "written    net/evaluation.json" in done.stdout
    content = json.loads((folder / "net" / "evaluation.json").read_text())
    accuracy = {row["name"]: row["accuracy"] for row in content["results"]}
    assert list(accuracy) == [
        "clean", "fgsm_12", "fgsm_32", "pgd_12", "pgd_32", "autoattack", "worst_case_32",
    ]  # fmt: skip
    assert accuracy["clean"] >= 0.4
    assert accuracy["autoattack"] <= accuracy["pgd_32"] <= accuracy["clean"]
    assert accuracy["worst_case_32"] <= accuracy["autoattack"]
    for row in content["results"]:
        assert (row["dataset"], row["split"], row["images"], row["seed"]) == (
            "digits", "test", 10, 0,
        )  # fmt: skip
    assert content["results"][5]["version"] == "standard"
    assert content["training"]["attack"] == "fgsm" and content["code"] == "313021"


@pytest.mark.slow
def test_killed_in_an_epoch_and_resumed_ends_with_the_same_weights(
    trained: tuple[Path, Done], tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *TEN_EPOCHS, "--out", "part"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    metrics = tmp_path / "part" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)  # the first epoch is recorded
    process.wait()
    assert 1 <= len(metrics.read_text().splitlines()) < 10, "the kill came too late to test much"
    assert not (tmp_path / "part" / "model.pt").exists()
    done = run_script("train.py", "--resume", "part", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = (trained[0] / "net", tmp_path / "part")
    one, two = (torch.load(folder / "model.pt", weights_only=True) for folder in folders)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert len(metrics.read_text().splitlines()) == 10


def test_pictures_may_move_between_the_commands(tmp_path: Path) -> None:
    """Training, its resumption and the evaluation find them by the place that is named, and see
    them with the side of the training."""
    for label, name in enumerate(("ant", "bee")):
        (tmp_path / "a" / name).mkdir(parents=True)
        for number in range(8):
            picture = Image.new("RGB", (20, 20), (100 * label + number, 0, 0))
            picture.save(tmp_path / "a" / name / f"{number}.png")
    flags = ["--genotype", "313021", "--dataset", "folder:a", "--side", "8", "--C", "4", "--N", "1",
             "--batch-size", "4", "--epochs", "1", "--attack", "none", "--probe-images", "2",
             "--out", "net"]  # fmt: skip
    assert run_script("train.py", *flags, cwd=tmp_path).returncode == 0
    weights = (tmp_path / "net" / "model.pt").read_bytes()
    (tmp_path / "a").rename(tmp_path / "b")
    lost = run_script("train.py", "--resume", "net", cwd=tmp_path)
    assert lost.returncode == 2
    assert "there is no folder a; name the one that has the pictures, as --dataset" in lost.stderr
    found = run_script("train.py", "--resume", "net", "--dataset", "folder:b", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "net" / "model.pt").read_bytes() == weights
    for number in range(8):
        shutil.copy(tmp_path / "b" / "bee" / "0.png", tmp_path / "b" / "ant" / f"{number}.png")
    changed = run_script("train.py", "--resume", "net", "--dataset", f"folder:{tmp_path / 'b'}",
                         cwd=tmp_path)  # fmt: skip
    assert changed.returncode == 2 and "was started with another data (name:" in changed.stderr
    done = run_script("evaluate.py", "--model", "net", "--dataset", f"folder:{tmp_path / 'b'}",
                      "--attacks", "clean", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "net" / "evaluation.json").read_text())
    assert content["image_size"] == content["trained_image_size"] == 8
