"""How many threads a command's sums use, and that they sleep while they wait. No torch here.

Torch's threads are OpenMP's, which reads the environment once, when torch is imported. A thread
that has nothing to do spins by default: on cores that other work uses, too, it takes their time
from the threads that it waits for.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""What says how OpenMP's threads wait, for GNU's and LLVM's libraries."""
COUNTING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What says how many there are."""


def prepare_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what OpenMP is to read, before torch is imported; what the user has set stays.

    Threads that wait sleep. There are as many as torch chooses by itself, the cores that the
    process may run on, unless its control groups give it the time of fewer.
    """
    if not any(name in environment for name in WAITING):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    limit = cpu_limit()
    if limit < _allowed_cores() and not any(name in environment for name in COUNTING):
        environment["OMP_NUM_THREADS"] = str(int(limit))


def available_cpus() -> int:
    """CPUs that the process may use: those of its affinity, but no more than its control groups
    give it the time of."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(min(allowed or 1, cpu_limit()))


def cpu_limit(proc: Path = Path("/proc/self"), root: Path = Path("/")) -> float:
    """CPUs whose time the process's control groups give it, rounded up; infinite without a limit.

    The quota of a group holds for all groups inside it, so the least on the way up counts. `root`
    is where the paths of mounts begin.
    Source: the kernel's cgroup-v2.rst (cpu.max) and sched-bwc.rst (cpu.cfs_quota_us).
    """
    try:
        mounts = (proc / "mountinfo").read_text(encoding="utf-8").splitlines()
        groups = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # no Linux, or no right to look
        return math.inf
    quotas = [
        quota for folder in _folders(mounts, groups, root) if (quota := _quota(folder)) is not None
    ]
    return max(1, math.ceil(min(quotas))) if quotas else math.inf


def _folders(mounts: list[str], groups: list[str], root: Path) -> Iterator[Path]:
    """The process's groups with a CPU controller and all groups around them, as they are mounted.

    A line of mountinfo is `id parent device root mount-point options [fields] - type source
    super-options`, one of cgroup `number:controllers:path`; version 2 names no controllers.
    """
    for line in mounts:
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        if len(mount) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        if kind[0] == "cgroup" and "cpu" not in kind[2].split(","):
            continue
        for group in groups:
            controllers, path = (*group.split(":", 2), "", "")[1:3]
            if ("cpu" in controllers.split(",")) if kind[0] == "cgroup" else not controllers:
                at = root / mount[4].lstrip("/")
                inside = Path(path)
                # A container may see its own group as the mount's root under a path of outside.
                below = inside.relative_to(mount[3]) if _is_inside(inside, mount[3]) else Path()
                yield at / below
                yield from (at / parent for parent in below.parents)


def _is_inside(path: Path, root: str) -> bool:
    return path.is_relative_to(root) and ".." not in path.parts


def _quota(folder: Path) -> float | None:
    """CPUs that one group gives; None without a limit."""
    texts = _read(folder / "cpu.max").split()
    if not texts:
        texts = [*_read(folder / "cpu.cfs_quota_us").split(),
                 *_read(folder / "cpu.cfs_period_us").split()]  # fmt: skip
    try:
        quota, period = (int(text) for text in texts)
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _allowed_cores() -> int:
    """Cores of the process's affinity, threads of one core counted once, as torch counts."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = _read(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))
        cores.add(siblings.strip() or str(cpu))
    return len(cores)
