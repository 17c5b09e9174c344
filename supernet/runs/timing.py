"""Seconds and memory of a call, and of several that take turns: for the scripts that measure."""

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall-clock of one call, from an idle device until the device has finished."""
    _wait(device)
    began = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Clock(NamedTuple):
    """Seconds of one call: wall-clock, and those of the process's CPUs, all threads together."""

    wall: float
    cpu: float


def clocked_in_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[Clock]]:
    """Both times of each call, round by round."""
    times: dict[str, list[Clock]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            wall = seconds(run, device)
            times[name].append(Clock(wall, time.process_time() - began))
    return times


def was_busy(clocks: Iterable[Clock]) -> bool:
    """Whether other work took over a tenth of the calls' time: their thread waited for its CPU.

    Of a CPU's calls alone, which compute all the time. Several threads have more CPU seconds than
    wall-clock on a quiet machine, so that with them only heavy work of others shows.
    """
    clocks = list(clocks)
    return sum(clock.wall for clock in clocks) > 1.1 * sum(clock.cpu for clock in clocks)


def spread(times: Sequence[float]) -> dict[str, float]:
    """The median as `seconds`, the least and the most."""
    return {"seconds": statistics.median(times), "least": min(times), "most": max(times)}


def peak_memory(run: Callable[[], object], device: torch.device) -> float | None:
    """MiB that `run()` needs above what is in use before it.

    CUDA: of torch's allocator. Linux CPU: resident memory, whose peak the kernel lets a process
    reset; freed memory that the allocator keeps counts as in use, so small numbers are rough.
    Elsewhere, and where a container forbids the reset, None.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    if not _reset_peak():
        run()
        return None
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1024


def _reset_peak() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    # Hand freed memory back, so that using it again shows; glibc alone has the call.
    getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/self/status has no {field}")
