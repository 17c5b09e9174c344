"""Killing runs: they end as if nothing had been, and the comparison sees a single bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts import kill_test
from supernet.errors import UserError
from tests.scripts.inprocess import ROOT


@pytest.mark.slow
def test_killed_runs_end_the_same(tmp_path: Path) -> None:
    """In a process of its own, since a fork of this one would have its threads."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/kill_test.py"), "--kills", "2", "--out", "kills.json"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8 and all(line.endswith(": the same end") for line in lines)
    written = json.loads((tmp_path / "kills.json").read_text())
    assert [kill["faults"] for kill in written["kills"]] == [[]] * 8
    assert len({kill["device"] for kill in written["kills"]} - {None}) == 1
    assert set(written["counts"]) == {"search", "train", "rank", "refine"}
    assert written["counts"]["search"] == {"kills": 2, "with_faults": 0}


BEFORE_A_FORK = """
import torch
from pathlib import Path
from scripts import kill_test

def asked(*given):
    raise AssertionError("asked for a GPU")

torch._C._cuda_getDeviceCount = torch._C._cuda_init = asked
kill_test._prepare()
kill_test._write(Path("kills.json"), 0, [], [])
"""


@pytest.mark.slow
def test_nothing_asks_for_a_gpu_before_a_fork(tmp_path: Path) -> None:
    """CUDA does not work in a fork of a process that has begun with it."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_A_FORK], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_second_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same moments are drawn as by one call, and a run that another seed has drawn is not."""
    whole = kill_test.Counts(10.0, {(c, k): 9 for c in kill_test.CALLS
                                    for k in (kill_test.ANY, kill_test.CHECKPOINT)})  # fmt: skip
    monkeypatch.setattr(kill_test, "_prepare", lambda: None)
    monkeypatch.setattr(kill_test, "_run", lambda name, folder: whole)
    monkeypatch.setattr(kill_test, "trial", lambda name, folder, whole, moment: [])
    for kills, out in ((5, "a.json"), (8, "a.json"), (8, "b.json")):
        command = ["kill_test.py", "train", "--kills", str(kills), "--out", str(tmp_path / out)]
        monkeypatch.setattr("sys.argv", command)
        kill_test.main()
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("b.json", "a.json"))
    assert two["kills"] == one["kills"] and len(one["kills"]) == 8
    assert len(two["commands"]) == 2 and len({kill["moment"] for kill in one["kills"]}) == 8
    kinds = [kill["moment"].split()[0] for kill in one["kills"]]
    assert kinds == ["after", "in"] * 4
    monkeypatch.setattr("sys.argv", [*command, "--seed", "3"])
    with pytest.raises(UserError, match="has kills of other runs or of another --seed"):
        kill_test.main()


def test_a_run_that_ends_before_its_kill_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or every kill could come too late, and all would end the same."""

    def ended(command: list[str], folder: Path, moment: kill_test.Moment) -> int:
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    monkeypatch.setattr(kill_test, "_fork", ended)
    monkeypatch.setattr(kill_test, "_seconds", lambda pid: None)
    assert kill_test.trial("train", tmp_path / "run", tmp_path, kill_test.Moment(1.0)) == [
        "it ended before it was to be killed after 0.01 s"
    ]
    moment = kill_test.Moment(None, ("fsync", kill_test.ANY), 99)
    assert kill_test.trial("train", tmp_path / "run", tmp_path, moment) == [
        "it ended before it was to be killed in fsync number 99 of any file"
    ]


def test_results_are_compared_bit_for_bit_but_for_times(tmp_path: Path) -> None:
    w = torch.tensor([1.0, float("nan")])
    path = tmp_path / "checkpoint.pt"
    torch.save({"seconds": 1.0, "state": [w]}, path)
    first = kill_test._read(path)
    torch.save({"seconds": 2.0, "state": [w.clone()]}, path)
    assert kill_test._read(path) == first
    for other in (torch.nextafter(w, torch.full((2,), 9.0)), w.double(), w[None]):
        torch.save({"seconds": 1.0, "state": [other]}, path)
        assert kill_test._read(path) != first
    assert kill_test._read(tmp_path / "genotype.json") is None


def test_half_written_files_are_seen(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(9)}, tmp_path / "whole.pt")
    (tmp_path / "whole.json").write_text(json.dumps({"a": 1}))
    assert all(kill_test._is_whole(path) for path in tmp_path.iterdir())
    for path in list(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:-1])
    assert not any(kill_test._is_whole(path) for path in tmp_path.iterdir())
