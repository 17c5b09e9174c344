"""scripts/sweep.py as users call it: a lost worker, a killed driver, bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.inprocess import ROOT, run_script
from tests.workers import below

CELLS = (
    "000300", "333133", "333333", "111111", "222222", "444444", "012301", "323133", "133333",
    "333334", "010203", "003000",
)  # fmt: skip
FLAGS = ["--cells", ",".join(CELLS), "--test-limit", "20", "--attacks", "clean,fgsm", "--cpus", "2"]
FLAGS += ["--recipes", "r=quick --epochs 1 --C 4 --batch-size 16 --limit 64"]
SECONDS = 900
"""Until a sweep that does not move is given up, on a machine that does other work, too."""


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "sweep.py"), *FLAGS, "--out", str(folder)],
        stdout=subprocess.DEVNULL, stderr=(folder.parent / "stderr").open("wb"),
        cwd=folder.parent,
    )  # fmt: skip


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "table.jsonl"
    data = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def _wait(process: "subprocess.Popen[bytes]", folder: Path, lines: int) -> None:
    until = time.monotonic() + SECONDS
    while len(_lines(folder)) < lines:
        assert process.poll() is None, (folder.parent / "stderr").read_text()
        assert time.monotonic() < until
        time.sleep(0.02)


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if (Path("/proc") / str(pid)).exists()]


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Drivers that a failing test leaves."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def _is_complete(folder: Path) -> None:
    lines = _lines(folder)
    assert Counter(line["cell"] for line in lines) == Counter(CELLS)
    assert {line["status"] for line in lines} == {"done"}
    assert all(set(line["results"]) == {"clean", "fgsm_12", "fgsm_32"} for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for workers in /proc")
def test_twelve_cells_whatever_is_killed(
    tmp_path: Path, killed: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies in the middle, then the driver itself; twelve results, none twice."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[sweep]'")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "sweep"
    process = _start(folder)
    killed.append(process)
    _wait(process, folder, 2)
    until = time.monotonic() + SECONDS
    while not (found := [p for p, title in below(process.pid) if "train_and_meas" in title]):
        assert time.monotonic() < until
    os.kill(found[0], signal.SIGKILL)
    _wait(process, folder, 6)
    everyone = [pid for pid, _ in below(process.pid)]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = (folder / "table.jsonl").read_bytes()
    assert 6 <= len(_lines(folder)) < 12
    while _alive(everyone):  # nothing of it stays behind
        assert time.monotonic() < until
        time.sleep(0.1)

    again = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "sweep.py"), "--resume", str(folder)],
        capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "12 done" in again.stdout
    _is_complete(folder)
    whole = before[: before.rfind(b"\n") + 1]  # the line that the kill cut short is gone
    assert (folder / "table.jsonl").read_bytes().startswith(whole)

    # Nothing is left to do, so Ray is not even started; more seeds would be.
    done = run_script("sweep.py", "--resume", str(folder), cwd=tmp_path)
    assert done.returncode == 0 and "12 done" in done.stdout
    _is_complete(folder)
    top = run_script(
        "benchmark.py", "top", "-k", "3", "--table", str(folder / "table.jsonl"), cwd=tmp_path
    )
    assert top.returncode == 0, top.stderr
    best = max(line["results"]["fgsm_32"] for line in _lines(folder))
    assert f"{100 * best:.2f}" in top.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "no cell was named; give --cells"),
        (["--cells", "33x"], "33x"),
        (["--cells", "333333", "--recipes", "fast"], "preset 'fast' is unknown"),
        (
            ["--cells", "333333", "--recipes", "quick --batch-size 4000"],
            "recipe quick --batch-size",
        ),
        (["--cells", "333333", "--attacks", "cw"], "--attacks 'cw' is unknown"),
        (["--cells", "333333", "--dataset", "nothing"], "unknown data set 'nothing'"),
        (["--resume", "absent"], "absent is not a run directory"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, flags: list[str], sentence: str) -> None:
    done = run_script("sweep.py", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and sentence in done.stderr
    assert not list(tmp_path.iterdir())
