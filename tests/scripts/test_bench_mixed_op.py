"""scripts/bench_mixed_op.py: what it measures, in which order, and what a run cut short leaves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet import files
from tests.cuda_ext.cases import needs_native
from tests.scripts.inprocess import run_script

pytestmark = pytest.mark.slow

PASSES = ["reference", "reference_channels_last", "native", "native_all_bfloat16",
          "convolutions_only", "compiled"]  # fmt: skip
ATTACK = ["reference", "reference_channels_last", "native", "native_bfloat16", "convolutions_only",
          "compiled", "compiled_folded"]  # fmt: skip
STEP = ["reference", "reference_channels_last", "native", "native_bfloat16",
        "native_all_bfloat16", "search", "compiled"]  # fmt: skip
FORMS = {*PASSES, *ATTACK, *STEP}
MEASURED = {
    "training_node": PASSES, "alpha_gradient": PASSES, "attack_gradient": ATTACK,
    "robust_step": STEP, "fast_step": STEP,
}  # fmt: skip


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every state of the JSON. Nothing is compiled: that takes minutes and is torch's own."""
    written: list[Any] = []
    write_json = files.write_json

    def record(path: Path, report: Any) -> None:
        write_json(path, report)
        written.append(json.loads(Path(path).read_text()))

    monkeypatch.setattr(files, "write_json", record)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: None)
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    with torch._dynamo.config.patch(recompile_limit=8):  # which the script raises
        yield written


@needs_native
def test_every_formulation_of_every_measurement(tmp_path: Path, reports: list[Any]) -> None:
    done = run_script(
        "bench_mixed_op.py", "--quick", "--C", "4", "--side", "8", "--device", "cpu",
        "--json", "bench.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = reports[-1]
    assert report["shapes"]["N"] == 1 and report["missing"] == []
    assert report["busy"] in (True, False)
    for name, forms in MEASURED.items():
        rows = report["results"][name]
        assert [key for key in rows if key in FORMS] == forms
        for form in forms:
            assert rows[form]["least"] <= rows[form]["seconds"] <= rows[form]["most"]
            assert rows[form]["cpu_seconds"] > 0
            assert any(line.split()[:2] == [name, form] for line in done.stdout.splitlines())
        cpu = {form: rows[form]["cpu_seconds"] for form in forms}
        assert rows["speedup"] == cpu["reference"] / cpu["native"]
        for form in ("bfloat16", "all_bfloat16"):
            assert (f"speedup_{form}" in rows) == (f"native_{form}" in forms)
        assert rows["compiled_over_native"] > 0
        assert ("compiled_over_search" in rows) == ("speedup_search" in rows) == (forms is STEP)
    assert "first calls of compiled," in done.stdout
    assert set(report["compile_seconds"]["compiled_folded"]) == {"attack_gradient"}


@needs_native
def test_each_measurement_is_on_disk_once_it_is_done(tmp_path: Path, reports: list[Any]) -> None:
    done = run_script(
        "bench_mixed_op.py", "--quick", "--C", "2", "--side", "8", "--device", "cpu",
        "--skip", "reference_channels_last", "native_bfloat16", "native_all_bfloat16",
        "compiled_folded", "--measure", "training_node", "attack_gradient",
        "--json", "bench.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    others = {"reference", "native", "convolutions_only"}
    state = [{n: set(rows) & FORMS for n, rows in r["results"].items()} for r in reports]
    assert state == [
        {"training_node": others},
        {"training_node": others, "attack_gradient": others},
        {"training_node": {*others, "compiled"}, "attack_gradient": others},
        {"training_node": {*others, "compiled"}, "attack_gradient": {*others, "compiled"}},
    ]
    assert reports[1]["missing"] == ["training_node compiled", "attack_gradient compiled"]
    assert "attack_gradient native" in reports[0]["missing"] and reports[3]["missing"] == []
