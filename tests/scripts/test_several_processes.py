"""scripts/search.py under torchrun: a killed process, Ctrl-C, and resumes by other numbers."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.inprocess import ROOT, run_script

pytestmark = pytest.mark.slow

FLAGS = ["--robust", "--C", "2", "--N", "1", "--epochs", "12", "--warmup-epochs", "1", "--limit",
         "100", "--batch-size", "10", "--probe-images", "20", "--proposals", "supernet",
         "--refine-moves", "0", "--out", "run"]  # fmt: skip
PATIENCE = 240
"""Seconds for a step of the test on a busy machine."""


def torchrun(count: int, *arguments: str, cwd: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
               str(count), str(ROOT / "scripts" / "search.py"), *arguments]  # fmt: skip
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it took too long")


def epochs(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def ranks_of(launcher: int) -> dict[int, int]:
    """rank -> process of those that torchrun started."""
    found = {}
    for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        ranks = [int(v[5:]) for v in variables if v.startswith(b"RANK=")]
        found |= {ranks[0]: int(pid)} if ranks else {}
    return found


def ended(process: "subprocess.Popen[str]", pids: list[int]) -> str:
    """What was printed; all processes have ended."""
    out, err = process.communicate(timeout=PATIENCE)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    return out + err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says who has which rank")
def test_killed_interrupted_and_finished_by_other_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = torchrun(2, *FLAGS, cwd=tmp_path)
    wait_until(lambda: epochs(folder) >= 1)
    pids = ranks_of(process.pid)
    os.kill(pids[1], signal.SIGKILL)
    killed = time.monotonic()
    said = ended(process, list(pids.values()))
    assert time.monotonic() - killed < 60
    assert process.returncode
    assert said.count("--resume run") == 1, said
    again = r"go on with:\s+torchrun --nproc-per-node 2 \S*scripts/search\.py --resume run"
    assert re.search(again, said), said
    done = epochs(folder)
    assert 1 <= done < 12, "the kill came too late to test anything"

    process = torchrun(3, "--resume", "run", cwd=tmp_path)
    wait_until(lambda: epochs(folder) > done)
    pids = ranks_of(process.pid)
    assert set(pids) == {0, 1, 2}
    process.send_signal(signal.SIGINT)
    said = ended(process, list(pids.values()))
    assert "run was left by 2 processes and goes on with 3" in said
    assert said.count("stopped after ") == 1
    assert "of 24 steps (12 epochs); go on with:\n  torchrun --nproc-per-node 3" in said
    assert epochs(folder) < 12

    alone = run_script("search.py", "--resume", "run", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert "run was left by 3 processes and goes on with 1" in alone.stderr
    assert epochs(folder) == 12
    record = json.loads((folder / "config.json").read_text())
    assert record["config"]["batch_size"] == 20
    assert record["processes"] == 1
    assert shlex.split(record["command"])[:3] == ["torchrun", "--nproc-per-node", "2"]


def test_a_mistake_in_the_flags_is_said_once(tmp_path: Path) -> None:
    """`tests/supernet/test_torchrun.py` has the mistakes that come up later."""
    said = ended(torchrun(2, "--epochs", "lots", cwd=tmp_path), [])
    assert said.count("error: ") == 1, said
    assert "'lots' is not a whole number" in said
    assert list(tmp_path.iterdir()) == []
