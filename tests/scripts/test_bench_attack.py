"""scripts/bench_attack.py: the folded attack is as strong as the plain one on a trained network."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from supernet.attacks import ATTACKS
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset, to_float
from supernet.nets.derived import DerivedNetwork
from supernet.train.export import save_model
from tests.scripts.inprocess import run_script


@pytest.mark.slow
def test_all_attacks_leave_the_same_accuracy(tmp_path: Path) -> None:
    data = load_dataset("digits")
    torch.manual_seed(0)
    network = DerivedNetwork(
        Genotype.parse("313021"), C=4, N=1, mean=data.mean, std=data.std
    ).train()  # fmt: skip
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for batch in (b for _ in range(4) for b in torch.randperm(len(data.train_y)).split(64)):
        x, y = to_float(data.train_x[batch]), data.train_y[batch]
        x_adv = ATTACKS["n_fgsm"](network, x, y, eps=data.eps)
        optimiser.zero_grad()
        F.cross_entropy(network(x_adv), y).backward()
        optimiser.step()
    save_model(tmp_path / "model", network.eval(), {"dataset": "digits"})
    done = run_script(
        "bench_attack.py", "--model", "model", "--limit", "200", "--batch-size", "64", "--steps",
        "5", "--device", "cpu", "--json", "attack.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "attack.json").read_text())
    rows = report["rows"]
    assert list(rows) == ["plain", "folded", "bfloat16"] and report["images"] == 200
    clean = (network(to_float(data.test_x[:200])).argmax(1) == data.test_y[:200]).double().mean()
    assert 0.02 < rows["plain"]["accuracy"] < clean.item() - 0.1, "an attack that means something"
    assert abs(rows["folded"]["against_plain"]) <= 0.011
    assert abs(rows["bfloat16"]["against_plain"]) <= 0.03
    assert all(row["images_per_second"] > 0 for row in rows.values())
    assert "against plain" in done.stdout


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    done = run_script("bench_attack.py", "--model", "absent", cwd=tmp_path)
    assert done.returncode == 2 and "there is no model absent" in done.stderr
