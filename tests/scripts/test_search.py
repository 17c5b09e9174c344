"""scripts/search.py as a user runs it: output, exit status, SIGKILL and resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from supernet.cells.argument import read_cell
from supernet.cells.genotype import all_genotypes
from supernet.runs import finalists
from tests.scripts.inprocess import ROOT, Done, run_script

pytestmark = pytest.mark.slow

SMALL = ["--robust", "--C", "4", "--epochs", "3", "--warmup-epochs", "1", "--limit", "400",
         "--probe-images", "50", "--proposals", "supernet", "--refine-moves", "0"]  # fmt: skip


def search(*arguments: str, cwd: Path) -> Done:
    return run_script("search.py", *arguments, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "evolution"], "strategy 'evolution' is unknown; choose one of darts"),
        (["--objective", "mgda"], "--objective mgda weighs two losses; it needs --robust"),
        (
            ["--robust", "--max-params", "70k"],
            "no cell has params of 70,000 or less; the smallest has 73,306 on these images",
        ),
        (["--max-params", "lots"], "'lots' is not a number; write for example 0.8M"),
        (["--preset", "tpu"], "--preset 'tpu' is unknown"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["--seeds", "0,-1"], "--seeds '0,-1' has a seed below 0; write 0,1,2"),
        (["--seeds", f"0,{2**63}"], "has a seed that is not below 2^63"),
        (["--out", ""], "--out is empty; give it a value, or leave it out"),
        (["--C", "1000000000"], "--C is 1000000000; it must be from 1 to 4096"),
        (["--seeds", "1,x"], "--seeds '1,x' is not a list of whole numbers"),
        (
            ["--seeds", "1,2", "--seed", "3"],
            "--seeds goes with none of --seed, --resume and --from",
        ),
        (["--dataset", "folder:pictures"], "pictures"),
        (["--finalists", "-1"], "--finalists is -1; it must be at least 0"),
        (["--seeds", "0,1", "--finalists", "2"], "--finalists goes with one search; leave out"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = search(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_help_shows_defaults_with_units(tmp_path: Path) -> None:
    done = search("--help", cwd=tmp_path)
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "L-inf radius in the pixel range [0, 1]. Automatic is the data set's" in text
    assert "Default: 0.025." in text


@pytest.mark.usefixtures("no_pictures")
def test_killed_in_an_epoch_and_resumed_is_never_interrupted(tmp_path: Path) -> None:
    whole = search(*SMALL, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "cell       |" in whole.stdout
    following = f"next       python {ROOT}/scripts/train.py --genotype whole/genotype.json --preset"
    assert following in whole.stdout

    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "search.py"), *SMALL, "--out", "part"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )  # fmt: skip
    metrics = tmp_path / "part" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not metrics.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.1)  # the first epoch is recorded: into the second
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(metrics.read_text().splitlines()) < 3, "the kill came too late to test anything"

    resumed = search("--resume", "part", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["state"]
        for name in ("whole", "part")
    ]
    assert torch.equal(states[0]["strategy"]["alpha"], states[1]["strategy"]["alpha"])
    cells = [json.loads((tmp_path / n / "genotype.json").read_text()) for n in ("whole", "part")]
    assert cells[0]["arch"] == cells[1]["arch"]
    assert len(metrics.read_text().splitlines()) == 3


@pytest.mark.usefixtures("no_pictures")
def test_killed_in_the_refinement_and_resumed_is_never_interrupted(tmp_path: Path) -> None:
    """Without a supernet, in two processes: what finished before the kill is not trained again."""
    alone = ["--robust", "--epochs", "0", "--limit", "100", "--refine-steps", "1,2",
             "--refine-moves", "1", "--seeds", "3", "--processes", "2"]  # fmt: skip
    whole = search(*alone, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "search.py"), *alone, "--out", "part"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ledger = tmp_path / "part" / "seed-3" / "refine.jsonl"
    deadline = time.monotonic() + 240
    while not (ledger.exists() and ledger.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = ledger.read_text()
    assert not (tmp_path / "part" / "seed-3" / "refine.json").exists(), "the kill came too late"
    again = search(*alone, "--out", "part", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert ledger.read_text().startswith(before)
    records = [
        json.loads((tmp_path / name / "seed-3" / "refine.json").read_text())
        for name in ("whole", "part")
    ]
    assert {**records[0], "cpu_seconds": 0} == {**records[1], "cpu_seconds": 0}
    assert len(ledger.read_text().splitlines()) == records[1]["trainings"]


@pytest.mark.usefixtures("no_pictures")
def test_several_seeds_lead_to_one_cell(tmp_path: Path) -> None:
    arguments = [*SMALL, "--epochs", "1", "--warmup-epochs", "0", "--max-params", "0.4M",
                 "--seeds", "0,1", "--out", "a b", "--quiet"]  # fmt: skip
    done = search(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "a b" / "seeds.json").read_text())
    assert [run["seed"] for run in summary["runs"]] == [0, 1]
    clean = [run["val_clean_acc"] for run in summary["runs"]]
    assert summary["spread"]["val_clean_acc"]["mean"] == pytest.approx(sum(clean) / 2)
    assert "clean accuracy of the mixture: mean" in done.stdout
    again = search(*arguments, cwd=tmp_path)
    assert again.stdout == done.stdout, "finished seeds are not run again"
    other = search(*arguments, "--alpha-lr", "0.5", cwd=tmp_path)
    assert other.returncode == 2 and "another config (alpha_lr" in other.stderr

    found = json.loads((tmp_path / "a b" / "together.json").read_text())
    assert summary["together"] == found and found["seeds"] == [0, 1]
    each = [
        np.array(json.loads((tmp_path / "a b" / f"seed-{seed}" / "genotype.json").read_text())[
            "derivation"]["gains"])
        for seed in (0, 1)
    ]  # fmt: skip
    mean = sum(gains / np.sqrt(np.mean(gains**2)) for gains in each) / 2
    np.testing.assert_allclose(found["gains"], mean, atol=1e-12)
    ops = np.array([cell.ops for cell in all_genotypes()])
    value = mean[np.arange(6), ops].sum(axis=1)
    good = [0 not in cell.ops and cell.params(10) <= 400_000 for cell in all_genotypes()]
    assert found["code"] == "".join(map(str, ops[np.where(good, value, -np.inf).argmax()]))
    assert f"together   code {found['code']}" in done.stdout
    assert "--genotype 'a b'/together.json" in done.stdout
    cell, record = read_cell(str(tmp_path / "a b" / "together.json"))
    assert cell.code == found["code"] and record["dataset"] == "digits"


@pytest.mark.usefixtures("no_pictures")
def test_alpha_alone_leads_to_no_cell_of_several_seeds(tmp_path: Path) -> None:
    quick = ["--epochs", "1", "--warmup-epochs", "0", "--derive-by", "alpha", "--limit", "100"]
    done = search(*SMALL, *quick, "--seeds", "0", "--out", "one", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "one" / "seeds.json").read_text())["together"] is None
    assert not (tmp_path / "one" / "together.json").exists()


@pytest.mark.usefixtures("no_pictures")
def test_finalists_of_a_search_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalists, "HELD_OUT", 20)
    monkeypatch.setattr(finalists, "SEEDS", (0, 1))
    quick = ["--epochs", "1", "--warmup-epochs", "0", "--limit", "100", "--max-params", "0.3M"]
    asked = ["--finalists", "1", "--finalist-steps", "2", "--processes", "1"]
    done = search(*SMALL, *quick, *asked, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "finalists.json").read_text())
    assert all(cell["params"] <= 300_000 for cell in record["cells"])
    names = [name for cell in record["cells"] for name in cell["names"]]
    assert names[0] == "answer" and "largest that fits" in names
    assert (record["recipe"]["C"], record["recipe"]["N"]) == (16, 5)
    assert f"finalists  {len(record['cells'])} cells, 2 trainings each" in done.stdout
    assert "finalists  under PGD-20 32/255 answer" in done.stdout
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Under PGD-20 32/255 the answer has" in report.split("## Finalists")[1]


def test_the_default_robust_search(tmp_path: Path) -> None:
    """The command of the README, shortened: chance < robust < clean accuracy."""
    done = search(
        "--robust", "--epochs", "4", "--refine-steps", "1,2", "--refine-moves", "0", "--out", "a",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "a" / "genotype.json").read_text())
    assert record["derivation"]["chosen_by"] == "refined"
    refinement = json.loads((tmp_path / "a" / "refine.json").read_text())
    assert refinement["answer"] == record["code"]
    assert list(refinement["proposals"]) == ["supernet", "free", "prior"]
    assert "## Refinement" in (tmp_path / "a" / "report.md").read_text()
    last = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0.2 < last["val_robust_acc"] < last["val_clean_acc"] - 0.05
