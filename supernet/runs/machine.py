"""The machine: device, package versions, memory in use, and what must match to resume."""

import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from supernet.errors import UserError
from supernet.files import read_json

REMEDIES = {
    "data": "name the same images with --data-root, or with --dataset folder:PATH if they moved",
    "device_type": "resume on the same kind of device",
}
ROUNDING = {
    "impl": "",
    "kernels": "",
    "arithmetic": "; torch's switches and NVIDIA_TF32_OVERRIDE set it",
    "threads": "; OMP_NUM_THREADS sets the number",
}
"""What changes how sums are rounded, and how to have it as it was."""


def resolve_device(name: str) -> torch.device:
    """auto is the current CUDA device, else the CPU; cuda:N becomes the current one.

    Raises: UserError for a name torch does not know or a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device '{name}' is unknown; use auto, cpu, cuda or cuda:N") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(
            f"device '{name}' is not there ({count} CUDA devices); use --device "
            f"{'cuda' if count else 'cpu'}"
        )
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}' is not supported; use auto, cpu, cuda or cuda:N")
    if device.index is not None and device.type == "cuda":
        # Whatever asks for "cuda" means this one then, the trial of the kernels for one.
        torch.cuda.set_device(device)
    return device


def device_of_run(name: str, started_on: object) -> torch.device:
    """The device that a run goes on with: auto is of the kind that it started on, where that is.

    Where the kind is not there the result is of another, which `refuse_other_surroundings` names.
    Raises: UserError as `resolve_device` does.
    """
    if started_on == "cuda" and not torch.cuda.is_available():
        return torch.device("cpu")
    return resolve_device(str(started_on) if name == "auto" and started_on == "cpu" else name)


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
    """Versions of the software that a result may depend on."""
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


def refuse_other_surroundings(folder: Path, here: Mapping[str, Any]) -> None:
    """A resumed run must have the same images and the same kind of device.

    Compares what the run's config.json says with `here`, by the names in REMEDIES. Another form
    of the mixed cell, other products and another number of threads are warnings: sums are then
    rounded in another way.
    Raises: UserError naming the first difference and its remedy.
    """
    saved = read_json(folder / "config.json")
    for name, value in here.items():
        if name not in REMEDIES:
            continue
        before = saved.get(name)
        if before != value and not (name == "data" and _goes_on_with(folder, before, value)):
            raise UserError(
                f"{folder} was started with another {name} ({_difference(before, value)})"
                f"; {REMEDIES[name]}"
            )
    for name, value in {**here, "threads": torch.get_num_threads()}.items():
        if name in ROUNDING and saved.get(name, value) != value:
            print(
                f"warning: {folder} was started with {name} {saved.get(name)} and goes on with "
                f"{value}: sums are rounded in another order{ROUNDING[name]}",
                file=sys.stderr,
            )


def _goes_on_with(folder: Path, before: Any, now: Mapping[str, Any]) -> bool:
    """Whether the images may take the place of those before; another rounding is a warning."""
    if not same_images(before, now):
        return False
    if before.get("digest") not in (None, now.get("digest")):
        print(
            f"warning: the pixels of {now['name']} are others than when {folder} was started: the"
            " files have changed, or another version decodes them",
            file=sys.stderr,
        )
    return True


def same_images(before: Any, now: Mapping[str, Any]) -> bool:
    """Whether two `facts` tell of the same images: the same pixels and labels, wherever they lie.

    Where the digests differ, or one is missing, the name and the source decide: another version of
    a decoder may round in another way.
    """
    if not isinstance(before, Mapping):
        return False
    places = ("digest", "name", "source")
    differ = {key for key in {**before, **now} if before.get(key) != now.get(key)}
    return differ <= {*places} and ("digest" not in differ or differ == {"digest"})


def _difference(saved: Any, here: Any) -> str:
    if not isinstance(saved, dict):
        return f"{saved} -> {here}"
    names = [name for name in {**saved, **here} if saved.get(name) != here.get(name)]
    names = [name for name in names if name != "digest"] or names
    return "; ".join(f"{name}: {saved.get(name)} -> {here.get(name)}" for name in names)
