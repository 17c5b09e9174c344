"""scripts/bench_fold.py: what it measures, and that its forms do the same work."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cuda_ext import _native
from tests.scripts.inprocess import ROOT, run_script


@pytest.mark.slow
def test_every_form_of_both_measurements(tmp_path: Path) -> None:
    done = run_script(
        "bench_fold.py", "--C", "2", "--N", "1", "--batch-size", "4", "--side", "8", "--repeats",
        "1", "--device", "cpu", "--json", "fold.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "fold.json").read_text())
    forms = ["unfolded", "folded", *(["folded, native"] if _native.available() else [])]
    assert isinstance(report["busy"], bool)
    assert list(report["results"]) == ["attack_gradient", "robust_step"]
    for measurement, rows in report["results"].items():
        assert list(rows) == forms
        for name, row in rows.items():
            assert 0 < row["least"] <= row["seconds"] <= row["most"]
            assert row["speedup"] == rows["unfolded"]["cpu_seconds"] / row["cpu_seconds"]
            assert f"{measurement:16} {name:16}" in done.stdout


@pytest.mark.slow
def test_unfolded_and_folded_take_the_same_step() -> None:
    form = runpy.run_path(str(ROOT / "scripts" / "bench_fold.py"))["Form"]
    torch.manual_seed(1)
    x, y = torch.rand(8, 3, 8, 8), torch.arange(8) % 10
    after = []
    for fold in (False, True):
        one = form(SimpleNamespace(C=2, N=1), "batched", fold, x, y)
        before = one.alpha.detach().clone()
        torch.manual_seed(2)  # the attacks' random starts
        one.robust_step()
        assert (one.alpha - before).abs().min() > 1e-4, "every logit moved"
        after.append((one.alpha.detach(), one.net.classifier.weight.detach()))
    for plain, folded in zip(*after, strict=True):
        # Of 1,536 pixels a few lie at the edge of a sign and may be attacked the other way.
        assert folded.numpy() == pytest.approx(plain.numpy(), abs=2e-5)
