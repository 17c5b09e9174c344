"""scripts/bench_kernels.py: every kernel, in both dtypes."""

import json
from pathlib import Path

from tests.cuda_ext.cases import needs_native
from tests.scripts.inprocess import run_script

KERNELS = {"attack_node", "attack backward", "moments", "training write", "training sums",
           "norm backward"}  # fmt: skip


@needs_native
def test_every_kernel_is_timed_in_both_dtypes(tmp_path: Path) -> None:
    done = run_script(
        "bench_kernels.py", "--C", "8", "--batch-size", "2", "--side", "8", "--rounds", "1",
        "--device", "cpu", "--json", "kernels.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "kernels.json").read_text())
    assert list(report["kernels"]) == ["float32", "bfloat16"]
    expected = {"copy", "attack_step", *(f"{name} S={S}" for name in KERNELS for S in (1, 2, 3))}
    for dtype, rows in report["kernels"].items():
        assert set(rows) == expected and f"[2, 8, 8, 8], {dtype}" in done.stdout
        assert all(row["gb_per_s"] > 0 for row in rows.values())
    assert done.stdout.count("attack_step") == 2


def test_kernels_in_triton_need_a_gpu(tmp_path: Path) -> None:
    done = run_script("bench_kernels.py", "--triton", "--device", "cpu", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, "error: the kernels in Triton need a GPU; leave --triton out\n"
    )  # fmt: skip


@needs_native
def test_one_dtype_alone(tmp_path: Path) -> None:
    done = run_script(
        "bench_kernels.py", "--C", "8", "--batch-size", "1", "--side", "4", "--rounds", "1",
        "--device", "cpu", "--dtype", "bfloat16", cwd=tmp_path,
    )  # fmt: skip
    assert "bfloat16" in done.stdout and "float32" not in done.stdout
