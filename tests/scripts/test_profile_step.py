"""scripts/profile_step.py: kinds of work by name, and one profile of a small search."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.scripts.inprocess import run_script


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("robust_supernet::attack_node", "our kernels"),
        ("void run_kernel<AttackNode, float>(...)", "our kernels"),
        ("aten::mkldnn_convolution", "convolutions"),
        ("sm90_xmma_fprop_implicit_gemm_bf16", "convolutions"),
        ("aten::addmm", "matrix products"),
        ("aten::native_batch_norm", "normalisation and sums"),
        ("Memcpy DtoD (Device -> Device)", "copies and layouts"),
        ("aten::_foreach_add_", "optimiser"),
        ("aten::relu", "elementwise"),
        ("aten::randint", "other"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert importlib.import_module("scripts.profile_step").kind_of(name) == kind


def test_waits_are_those_of_the_steps() -> None:
    """The profiler waits itself once they are over."""
    module = importlib.import_module("scripts.profile_step")

    def event(name: str, start: float, end: float) -> SimpleNamespace:
        return SimpleNamespace(name=name, time_range=SimpleNamespace(start=start, end=end))

    events = [
        event(module.STEPS, 15, 30), event(module.STEPS, 10, 20),
        event("cudaStreamSynchronize", 9, 10), event("cudaLaunchKernel", 11, 12),
        event("cudaStreamSynchronize", 12, 13), event("cudaEventSynchronize", 19, 25),
        event("cudaDeviceSynchronize", 21, 22),
    ]  # fmt: skip
    assert module.waits_in(events) == 2


@pytest.mark.slow
def test_a_profile_adds_up(tmp_path: Path) -> None:
    done = run_script(
        "profile_step.py", "--robust", "--C", "2", "--limit", "128", "--batch-size", "16",
        "--device", "cpu", "--steps", "2", "--skip", "1", "--json", "step.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "step.json").read_text())
    assert sum(row["ms"] for row in report["kernels"]) == pytest.approx(
        sum(report["kinds_ms"].values())
    )
    assert report["kinds_ms"]["convolutions"] > 0 and report["step_ms"] > 0
    assert report["config"]["batch_size"] == 16 and report["steps"] == 2
    assert report["host_waits_per_step"] == 0
    assert not any("profiled" in row["name"] for row in report["kernels"])
    assert "ms per step" in done.stdout and "convolutions" in done.stdout


SMALL_COUNT = ("profile_step.py", "--count", "--robust", "--C", "2", "--N", "1",
               "--batch-size", "2", "--attack-steps", "1")  # fmt: skip


@pytest.mark.slow
def test_launches_are_counted_without_a_gpu(tmp_path: Path) -> None:
    done = run_script(
        *SMALL_COUNT, "--json", "count.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "count.json").read_text())["parts"]
    assert parts["fold"]["operators"] > 50 and parts["fold"]["waits"] == []
    assert "weight step" in done.stdout and "kernels" in done.stdout


@pytest.mark.slow
def test_a_strategy_that_waits_is_a_sentence(tmp_path: Path) -> None:
    done = run_script(
        *SMALL_COUNT, "--strategy", "gdas", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "a step of gdas waits for the GPU (aten::_to_copy at strategies/gdas.py" in done.stderr


def test_nothing_to_profile(tmp_path: Path) -> None:
    done = run_script("profile_step.py", "--steps", "0", cwd=tmp_path)
    assert done.returncode == 2 and "--steps and --skip must be at least 1" in done.stderr
