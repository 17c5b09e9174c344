"""Writes checkpoints whole or not at all, and reads them without running code."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from supernet.errors import UserError
from supernet.files import atomic_write

FORMAT = 2
"""Format 1 was of searches for a front, or with scores of inherited weights."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` atomically, with the format's number."""
    with atomic_write(path, "wb") as stream:
        torch.save({"format": FORMAT, **state}, stream)


def kept_epoch(folder: Path, epoch: int) -> Path:
    """Where a search keeps the weights of an epoch."""
    return folder / f"epoch-{epoch:04d}.pt"


def load_checkpoint(path: Path, kind: str) -> dict[str, Any]:
    """Read a checkpoint of this kind of run onto the CPU with `weights_only=True`.

    Raises: UserError when it is missing, cut short, of another format or kind of run, or not a
            checkpoint at all.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; start the run again without --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise UserError(
            f"checkpoint {path} cannot be read ({_first_line(error)}); it is cut short or not a "
            "checkpoint: restore a copy or start the run again"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise UserError(
            f"checkpoint {path} has format {found}, this version reads format {FORMAT}; "
            "use the version that wrote it, or start the run again"
        )
    if state.get("kind") != kind:
        raise UserError(f"checkpoint {path} is of a {state.get('kind')}, not of a {kind}")
    return state


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
