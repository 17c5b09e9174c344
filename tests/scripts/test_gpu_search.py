"""scripts/gpu_search.sh on the CPU and the embedded digits: lines, limits, going on."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = shlex.split(
    "--dataset digits --preset digits --C 2 --epochs 1 --warmup-epochs 0 --limit 100 "
    "--batch-size 16 --probe-images 16 --device cpu --refine-moves 0 --refine-steps 1"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash"),
]


def gpu_search(out: Path, minutes: str, *flags: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "gpu_search.sh", out, minutes, *flags],
        capture_output=True, text=True,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_each_seed_is_a_run_and_a_line_and_none_is_repeated(tmp_path: Path) -> None:
    status, text, error = gpu_search(tmp_path, "5", *TINY, SEEDS="3")
    assert status == 0, error + (tmp_path / "seed3.log").read_text()
    record = json.loads((tmp_path / "seed3" / "genotype.json").read_text())
    assert record["seed"] == 3 and text.startswith(f"seed 3  {record['code']}  ")
    assert re.search(r"\d+ s  [\d,]+ images/s  \d\.\d GiB\n$", text)
    # Seed 4 as it is after a kill: all but the answer is there.
    shutil.copytree(tmp_path / "seed3", tmp_path / "seed4")
    (tmp_path / "seed4" / "genotype.json").unlink()
    written = (tmp_path / "seed3" / "genotype.json").stat().st_mtime_ns
    planned = gpu_search(tmp_path, "5", DRY_RUN="1", SEEDS="3 4")[1].split()
    assert planned[1:] == ["scripts/search.py", "--resume", f"{tmp_path}/seed4", "--quiet"]
    status, both, error = gpu_search(tmp_path, "5", *TINY, SEEDS="3 4")
    assert status == 0, error + (tmp_path / "seed4.log").read_text()
    assert both.startswith(text) and len(both.splitlines()) == 2
    assert (tmp_path / "seed3" / "genotype.json").stat().st_mtime_ns == written
    assert (tmp_path / "seed4" / "genotype.json").is_file()


def test_within_a_budget_no_supernet_is_trained(tmp_path: Path) -> None:
    flags = shlex.split(
        "--dataset digits --preset digits --limit 100 --batch-size 16 --device cpu "
        "--max-params 0.4M"
    )
    status, text, error = gpu_search(tmp_path, "5", *flags, SEEDS="3")
    assert status == 0, error + (tmp_path / "seed3.log").read_text()
    assert text.endswith(" s  without a supernet\n")


def test_nothing_starts_when_the_time_is_over(tmp_path: Path) -> None:
    status, text, error = gpu_search(tmp_path, "0", *TINY)
    assert (status, text) == (130, "") and "time is over before seed 0" in error
    assert not any(tmp_path.iterdir())


def test_it_is_the_gpu_preset_that_runs(tmp_path: Path) -> None:
    status, text, _ = gpu_search(tmp_path, "9", "--epochs", "7", DRY_RUN="1", SEEDS="4")
    assert status == 0
    assert text.split()[1:] == [
        "scripts/search.py", "--robust", "--dataset", "cifar10", "--preset", "gpu", "--quiet",
        "--epochs", "7", "--seed", "4", "--out", f"{tmp_path}/seed4",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("out",), ("out", "soon")])
def test_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "gpu_search.sh", *arguments],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and "usage: scripts/gpu_search.sh OUT_DIR MINUTES" in done.stderr
