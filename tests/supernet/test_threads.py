"""Threads: what OpenMP then takes, in real processes, and what control groups say."""

import functools
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supernet import threads

ROOT = Path(__file__).parents[2]
COMMAND = """
from supernet import cli

def main():
    import torch
    print(torch.get_num_threads())

cli.run(main)
"""


@functools.cache
def started(command: str = COMMAND, **given: str) -> tuple[int, dict[str, str]]:
    """Torch's threads in a process of its own, and what its OpenMP says that it took."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in (*threads.WAITING, *threads.COUNTING)}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**environment, "OMP_DISPLAY_ENV": "verbose", **given},
    )  # fmt: skip
    lines = [line.partition(" = ") for line in done.stderr.splitlines()]
    return int(done.stdout), {
        name.split()[-1]: v.strip("'") for name, _, v in lines if name.split()
    }


@pytest.mark.slow
def test_the_threads_of_a_command_sleep_while_they_wait() -> None:
    _, taken = started()
    assert taken["OMP_WAIT_POLICY"] == "PASSIVE"
    if "GOMP_SPINCOUNT" in taken:  # of GNU's library: the turns that a thread spins
        assert taken["GOMP_SPINCOUNT"] == "0"
        assert started(GOMP_SPINCOUNT="77")[1]["GOMP_SPINCOUNT"] == "77", "the user's own stays"


@pytest.mark.slow
def test_a_command_has_a_thread_for_each_core_that_it_may_use() -> None:
    everywhere = sorted(os.sched_getaffinity(0))
    one = f"import os; os.sched_setaffinity(0, [{everywhere[0]}])\n"
    assert started(one + COMMAND)[0] == 1
    assert started()[0] == min(threads._allowed_cores(), threads.cpu_limit())
    # As many cores as there are, and the time of one.
    limited = "from supernet import threads; threads.cpu_limit = lambda: 1\n"
    assert started(limited + COMMAND)[0] == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2"}),
        ({"OMP_NUM_THREADS": "7"}, {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "PASSIVE"}),
        ({"MKL_NUM_THREADS": "7"}, {"MKL_NUM_THREADS": "7", "OMP_WAIT_POLICY": "PASSIVE"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "2"}),
        ({"KMP_BLOCKTIME": "200"}, {"KMP_BLOCKTIME": "200", "OMP_NUM_THREADS": "2"}),
    ],
)
def test_what_the_user_has_set_stays(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: dict[str, str]
) -> None:
    monkeypatch.setattr(threads, "cpu_limit", lambda: 2)
    monkeypatch.setattr(threads, "_allowed_cores", lambda: 8)
    threads.prepare_threads(given)
    assert given == expected


def test_without_a_limit_below_the_cores_torch_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (math.inf, 8):
        monkeypatch.setattr(threads, "cpu_limit", lambda limit=limit: limit)
        monkeypatch.setattr(threads, "_allowed_cores", lambda: 8)
        given: dict[str, str] = {}
        threads.prepare_threads(given)
        assert given == {"OMP_WAIT_POLICY": "PASSIVE"}


V2 = "35 24 0:30 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct"
SETS = "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"


@pytest.mark.parametrize(
    ("mount", "group", "files", "expected"),
    [
        (V2, "0::/job", {"job/cpu.max": "150000 100000\n"}, 2),
        (V2, "0::/job", {"job/cpu.max": "50000 100000\n"}, 1),
        (V2, "0::/job", {"job/cpu.max": "max 100000\n"}, math.inf),
        (V2, "0::/", {}, math.inf),
        # The least on the way up.
        (V2, "0::/a/b/c", {"a/cpu.max": "300000 100000", "a/b/c/cpu.max": "max 100000"}, 3),
        (V2, "0::/a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "800000 100000"}, 3),
        # In a container its own group is the mount's root.
        (V2.replace("{root}", "/docker/7f"), "0::/docker/7f", {"cpu.max": "400000 100000"}, 4),
        (V2, "0::/../other", {"cpu.max": "400000 100000"}, 4),
        (V1, "4:cpu,cpuacct:/job",
         {"job/cpu.cfs_quota_us": "250000", "job/cpu.cfs_period_us": "100000"}, 3),
        (V1, "4:cpu,cpuacct:/job",
         {"job/cpu.cfs_quota_us": "-1", "job/cpu.cfs_period_us": "100000",
          "cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "50000"}, 2),
        (V1.replace("{root}", "/docker/7f"), "4:cpu,cpuacct:/docker/7f",
         {"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000"}, 1),
        # A quota of another controller's group is not one of the CPU's.
        (SETS, "4:cpuset:/job",
         {"job/cpu.cfs_quota_us": "100000", "job/cpu.cfs_period_us": "100000"}, math.inf),
        (V2, "0::/job", {"job/cpu.max": "nonsense"}, math.inf),
    ],
)  # fmt: skip
def test_the_limit_of_control_groups(
    tmp_path: Path, mount: str, group: str, files: dict[str, str], expected: float
) -> None:
    mount = mount.replace("{root}", "/")
    proc, at = tmp_path / "proc", tmp_path / mount.split()[4].lstrip("/")
    proc.mkdir()
    at.mkdir(parents=True)
    (proc / "mountinfo").write_text(f"31 23 0:28 / /proc rw - proc proc rw\n{mount}\n")
    (proc / "cgroup").write_text(f"9:name=systemd:/elsewhere\n{group}\n")
    for name, text in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text)
    assert threads.cpu_limit(proc, tmp_path) == expected


def test_without_linux_there_is_no_limit(tmp_path: Path) -> None:
    assert threads.cpu_limit(tmp_path / "absent") == math.inf
    assert 1 <= threads.available_cpus() <= (os.cpu_count() or 1)
