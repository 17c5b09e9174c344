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

FORMS = ["reference", "reference_channels_last", "native", "convolutions_only", "compiled"]
MEASURED = {
    name: [form for form in FORMS if name != "robust_step" or form != "convolutions_only"]
    for name in ("training_node", "attack_gradient", "robust_step")
}


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
    for name, forms in MEASURED.items():
        rows = report["results"][name]
        assert [key for key in rows if key in FORMS] == forms
        for form in forms:
            assert rows[form]["least"] <= rows[form]["seconds"] <= rows[form]["most"]
            assert any(line.split()[:2] == [name, form] for line in done.stdout.splitlines())
        assert rows["speedup"] == rows["reference"]["seconds"] / rows["native"]["seconds"]
        compiled = rows["compiled"]["seconds"] / rows["native_beside_compiled"]
        assert rows["speedup_over_compiled"] == compiled
    assert "first calls of compiled" in done.stdout


@needs_native
def test_each_measurement_is_on_disk_once_it_is_done(tmp_path: Path, reports: list[Any]) -> None:
    done = run_script(
        "bench_mixed_op.py", "--quick", "--C", "2", "--side", "8", "--device", "cpu",
        "--skip", "reference_channels_last", "--measure", "training_node", "attack_gradient",
        "--json", "bench.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    others = {"reference", "native", "convolutions_only"}
    state = [{n: set(rows) & set(FORMS) for n, rows in r["results"].items()} for r in reports]
    assert state == [
        {"training_node": others},
        {"training_node": others, "attack_gradient": others},
        {"training_node": {*others, "compiled"}, "attack_gradient": others},
        {"training_node": {*others, "compiled"}, "attack_gradient": {*others, "compiled"}},
    ]
    assert reports[1]["missing"] == ["training_node compiled", "attack_gradient compiled"]
    assert "attack_gradient native" in reports[0]["missing"] and reports[3]["missing"] == []
