"""scripts/gpu_check.sh: order, limits and summary, with a pretended interpreter and no GPU."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = [
    "device", "build", "load", "tests", "captures", "triton", "memcheck", "racecheck", "kernels",
    "benchmark",
]  # fmt: skip
CAPTURES = "tests/cuda_ext/test_cuda.py"
KILL_AFTER = 5  # seconds that a step has to end once its time is over

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash"),
]


def gpu_check(out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", ROOT / "scripts" / "gpu_check.sh", out],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def pretended(folder: Path, python: str) -> str:
    """An interpreter that notes its arguments and does as `python` says, and a sanitizer."""
    folder.mkdir()
    for name, body in (("python", python), ("compute-sanitizer", "")):
        (folder / name).write_text(f'#!/bin/bash\necho "{name} $*" >> {folder}/said\n{body}\n')
        (folder / name).chmod(0o755)
    return str(folder / "python")


def test_the_steps_end_in_order_within_eight_minutes(tmp_path: Path) -> None:
    done = gpu_check(tmp_path / "out", DRY_RUN="1", PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    lines = [re.fullmatch(r"until (\d+) s  (\w+): (.+)", li) for li in done.stdout.splitlines()]
    assert all(lines) and [line[2] for line in lines if line] == STEPS
    deadlines = [int(line[1]) for line in lines if line]
    # Even where every step is killed at its limit, each has time, and all end within 480 s.
    spans = [b - a for a, b in zip([0, *deadlines], deadlines, strict=False)]
    assert min(spans) > 2 * KILL_AFTER and sum(spans) + KILL_AFTER <= 480
    assert not any((tmp_path / "out").iterdir())
    commands = {line[2]: line[3] for line in lines if line}
    assert "--dtype float32 bfloat16" in commands["kernels"]
    named = re.findall(r"def (test_\w*replay_equals\w*)", (ROOT / CAPTURES).read_text())
    assert len(named) == 1 and commands["captures"].endswith(f"-k replay_equals {CAPTURES}")
    for tool in ("memcheck", "racecheck"):
        assert f"--tool {tool} " in commands[tool] and " -m sanitize " in commands[tool]


def test_the_sanitizer_looks_at_the_kernels_that_there_are() -> None:
    source = (ROOT / "cuda_ext" / "csrc" / "cuda" / "launch.h").read_text()
    launched = re.findall(r"__global__.*?(\w+)\(const", source)
    script = (ROOT / "scripts" / "gpu_check.sh").read_text()
    assert re.findall(r"--kernel-name kns=(\w+)", script) == launched and len(launched) == 1


def test_a_step_that_hangs_or_fails_stops_no_other(tmp_path: Path) -> None:
    python = pretended(
        tmp_path / "bin",
        'case "$*" in *setup.py*) sleep 60;; *bench_kernels*) exit 7;; *) echo 9.0;; esac',
    )
    done = gpu_check(tmp_path / "out", PYTHON=python, BUDGET="8")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    became = {step["step"]: step["status"] for step in summary["steps"]}
    assert list(became) == STEPS
    assert became.pop("build") == "timed out" and became.pop("kernels") == "failed"
    assert set(became.values()) == {"ok"}
    assert done.returncode == 1 and summary["ok"] is False and summary["seconds"] <= 8
    assert {step["exit"] for step in summary["steps"]} == {0, 7, 124}
    said = (tmp_path / "bin" / "said").read_text()
    assert "bench_mixed_op.py" in said and said.count("compute-sanitizer") == 2
    assert {f"{name}.log" for name in STEPS} < {p.name for p in (tmp_path / "out").iterdir()}


def test_all_is_well_when_every_step_is(tmp_path: Path) -> None:
    done = gpu_check(tmp_path / "out", PYTHON=pretended(tmp_path / "bin", "echo 9.0"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ok"] is True and len(summary["steps"]) == len(STEPS)


def test_without_a_gpu_it_says_so_and_stops(tmp_path: Path) -> None:
    python = pretended(tmp_path / "bin", "echo 'torch sees no GPU' >&2; exit 1")
    done = gpu_check(tmp_path / "out", PYTHON=python)
    assert done.returncode == 1 and "torch sees no GPU" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [step["status"] for step in summary["steps"]] == ["failed"] and not summary["ok"]


BARE = """
import runpy, sys

class Absent:
    names = {"orjson", "moocore", "pymoo", "pyautoattack", "timm", "art", "tensorboard", "sklearn"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"{name} is not on a bare GPU machine", name=name)

sys.meta_path.insert(0, Absent())
import tests.cuda_ext.test_cuda, tests.cuda_ext.test_mixed_op, tests.ops.test_graphs
sys.argv = ["bench_kernels.py", "--C", "8", "--batch-size", "1", "--side", "4", "--rounds", "1"]
runpy.run_path("scripts/bench_kernels.py", run_name="__main__")
"""


def test_a_bare_machine_has_what_it_needs() -> None:
    """torch, numpy and pytest, no other package of this project."""
    from cuda_ext import _native

    if not _native.available():
        pytest.skip(f"nothing is built: {_native.why_unavailable()}")
    done = subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
