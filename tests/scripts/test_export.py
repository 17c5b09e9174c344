"""scripts/export.py as a user runs it; the files themselves are tested in tests/supernet/train."""

import json
import re
from pathlib import Path

import pytest
import torch

from supernet.train.export import load_model, save_model
from tests.scripts.inprocess import ROOT, run_script
from tests.supernet.train.cells import trained
from tests.supernet.train.test_card import facts


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = trained("300133", num_classes=10)
    names = [str(digit) for digit in range(10)]
    described = {**facts("digits"), "image_size": 16, "class_names": names}
    return save_model(tmp_path / "net", network, described)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no network was named; give --model runs/NAME/standalone"),
        (["--model", "absent.pt"], "there is no model absent.pt"),
        (["--model", "MODEL", "--formats", "onnx,tflite"], "--formats 'tflite' is unknown"),
        (["--model", "MODEL", "--formats", ","], "--formats is empty"),
    ],
)
def test_bad_input(model: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = [str(model) if word == "MODEL" else word for word in arguments]
    done = run_script("export.py", *given, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(tmp_path.rglob("export"))


def test_it_says_what_is_saved_and_where(model: Path, tmp_path: Path, no_pictures: None) -> None:
    done = run_script("export.py", "--model", "net", "--formats", "safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "           code 300133, index " in done.stdout
    assert re.search(
        r"folded +[\d,]+ parameters instead of [\d,]+, and [\d,]+ multiply-adds", done.stdout
    )
    assert "logits     differ at most by: model.safetensors 0\n" in done.stdout
    assert f"accuracies none yet; {ROOT}/scripts/evaluate.py makes one" in done.stdout
    assert "written    net/export: README.md, model.safetensors, genotype.json" in done.stdout
    network, _ = load_model(model)
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(load_model(tmp_path / "net" / "export")[0](x), network(x))


@pytest.mark.slow
def test_onnx_is_left_out_where_its_packages_are_not_there(
    model: Path, tmp_path: Path, no_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supernet.train.formats.ONNX_PACKAGES", ("json", "not_there"))
    done = run_script("export.py", "--model", "net", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    last = "left out   ONNX needs not_there; run `pip install not_there`"
    assert done.stdout.splitlines()[-1] == last
    there = {path.name for path in (tmp_path / "net/export").iterdir()}
    assert {"model.pt2", "model.safetensors"} < there and "model.onnx" not in there
    card = (tmp_path / "net/export/README.md").read_text()
    assert "model.pt2" in card and "onnx" not in card
    done = run_script("export.py", "--model", "net", "--formats", "onnx", cwd=tmp_path)
    assert done.returncode == 2 and "or leave ONNX out with --formats" in done.stderr


@pytest.mark.slow
def test_an_export_is_evaluated_like_the_training(model: Path, tmp_path: Path) -> None:
    """And what is measured is in the card of the next export."""
    arguments = ["--attacks", "clean,fgsm", "--limit", "20"]
    export = ["export.py", "--model", "net", "--formats", "safetensors"]
    assert run_script(*export, cwd=tmp_path).returncode == 0
    for name in ("net", "net/export"):
        done = run_script("evaluate.py", "--model", name, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    first, second = (
        [row["accuracy"] for row in json.loads(path.read_text())["results"]]
        for path in (tmp_path / "net/evaluation.json", tmp_path / "net/export/evaluation.json")
    )
    assert first == second
    done = run_script(*export, cwd=tmp_path)
    assert "accuracies net/evaluation.json\n" in done.stdout
    assert "accuracy under FGSM, L-inf 32/255" in (tmp_path / "net/export/README.md").read_text()
