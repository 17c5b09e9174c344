"""What a run depends on beside its config: device, versions, memory."""

import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from supernet.errors import UserError


def resolve_device(name: str) -> torch.device:
    """auto is the first CUDA device where there is one, else the CPU.

    Raises: UserError for a name torch does not know or a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device '{name}' is unknown; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device '{name}' is not there ({torch.cuda.device_count()} CUDA devices); "
            "use --device cpu"
        )
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}' is not supported; use auto, cpu, cuda or cuda:N")
    return device


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_model()}, {torch.get_num_threads()} threads"


def _cpu_model() -> str:
    """As /proc/cpuinfo names it where that is, else the architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            found = (line.partition(":")[2].strip() for line in stream if "model name" in line)
            return next(found, f"CPU ({platform.machine()})")
    except OSError:
        return f"CPU ({platform.machine()})"


def versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("robust-supernet", "torch", "numpy", "timm"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory in MiB: of the CUDA allocator, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # Linux counts in KiB, macOS in bytes.
    unit = 2**10 if sys.platform == "darwin" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit / 2**10


def describe(device: torch.device) -> dict[str, Any]:
    """Device, threads, versions and commit, for config.json."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The checkout's commit, with -dirty where files differ from it; None where this is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed; a repository further up is another one's
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
