"""What scripts/evaluate.py refuses; what it measures is in test_train.py and supernet's tests."""

import json
from pathlib import Path

import pytest
import torch

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.train.export import save_model
from tests.scripts.inprocess import run_script


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = DerivedNetwork(Genotype.parse("313021"), C=4, N=1)
    network(torch.rand(4, 3, 16, 16))
    return save_model(tmp_path / "search" / "standalone", network.eval(), {"dataset": "digits"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --model"),
        (["--model", "absent.pt"], "there is no model absent.pt"),
        (["--model", "MODEL", "--attacks", "clean,cw"], "attack 'cw' is unknown; choose among"),
        (["--model", "MODEL", "--eps", "8"], "every radius must be above 0 and at most 1"),
        (["--model", "MODEL", "--eps", "x"], "--eps"),
        (["--model", "MODEL", "--dataset", "mnist"], "unknown data set 'mnist'"),
        (["--model", "MODEL", "--batch-size", "0"], "--batch-size: 0 is too small"),
        (["--model", "MODEL", "--limit", "0"], "--limit: 0 is too small; it must be at least 1"),
        (["--model", "MODEL", "--seed", "9" * 20], "is too large; it must be below 2^63"),
        (["--model", "MODEL", "--out", "search"], "--out search must be a file that ends in .jso"),
        (["--model", "MODEL", "--out", "a.pt"], "--out a.pt must be a file that ends in .json"),
    ],
)
def test_bad_input(model: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = [str(model) if word == "MODEL" else word for word in arguments]
    done = run_script("evaluate.py", *given, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(tmp_path.rglob("evaluation.json"))


def test_a_shorter_evaluation(model: Path, tmp_path: Path) -> None:
    done = run_script(
        "evaluate.py",
        "--model", str(model.parent), "--attacks", "clean,pgd", "--eps", "8/255", "--limit", "20",
        "--out", "there.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "there.json").read_text())
    assert [row["name"] for row in content["results"]] == ["clean", "pgd_8", "worst_case_8"]
    assert content["images"] == 20 and content["precision"] == "float32"
    assert "used the first 20 test images" in content["source"]


def test_the_report_of_another_version_is_left_as_it_is(model: Path, tmp_path: Path) -> None:
    search = model.parents[1]
    (search / "genotype.json").write_text("{}")
    (search / "config.json").write_text('{"config": {}, "versions": {"robust-supernet": "0.0.1"}}')
    done = run_script(
        "evaluate.py", "--model", str(model), "--attacks", "clean", "--limit", "10", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (model.parent / "evaluation.json").is_file()
    assert "report     left as it is: search has format 1 (robust-supernet 0.0.1)" in done.stdout
