"""Peak memory of one call."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def peak_memory(run: Callable[[], object], device: Any) -> float | None:
    """MiB that `run()` needs above what is in use before it.

    CUDA: of torch's allocator. Linux CPU: resident memory, whose peak the kernel lets a process
    reset; freed memory that the allocator keeps counts as in use, so small numbers are rough.
    Elsewhere, and where a container forbids the reset, None.
    """
    if device.type == "cuda":
        import torch

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
