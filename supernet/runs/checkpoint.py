"""Writes checkpoints whole or not at all, and reads them checked and without running code."""

import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.runs.folder import CHECKPOINT, CHECKPOINT_BEFORE, CONFIG
from supernet.train.torch_file import load_torch

FORMAT = 3
"""Format 1 was of searches for a front, or with scores of inherited weights; format 2 did not say
which config it belongs to."""


class DamagedCheckpoint(UserError):
    """A checkpoint that is cut short, changed, or not a checkpoint at all."""


def save_checkpoint(
    path: Path, kind: str, config_hash: str, content: dict[str, Any], *, keep: Path | None = None
) -> None:
    """Write `content` atomically, with the file's format, the kind of run and its config's hash.

    torch writes a zip file, which holds a checksum (CRC-32) of every record. `keep` is where the
    file that was there goes, once the new one is on the disk.
    """
    head = {"format": FORMAT, "kind": kind, "config_hash": config_hash}
    with atomic_write(path, "wb") as stream:
        torch.save({**head, **content}, stream)
        if keep is not None and path.exists():
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(path, keep)


def kept_epoch(folder: Path, epoch: int) -> Path:
    """Where a search keeps the weights of an epoch."""
    return folder / f"epoch-{epoch:04d}.pt"


def save_last(folder: Path, kind: str, config_hash: str, content: dict[str, Any]) -> None:
    """Write a run's checkpoint and keep the one before it.

    Between the two renames a killed process leaves the one before alone, which `load_last` takes.
    """
    save_checkpoint(
        folder / CHECKPOINT, kind, config_hash, content, keep=folder / CHECKPOINT_BEFORE
    )


def load_last(folder: Path, kind: str, config_hash: str) -> dict[str, Any]:
    """The last checkpoint of a run; where it is damaged or missing the one before it, with a
    warning. It has `state` and `seconds`.

    Raises: UserError when both are damaged, and as `load_checkpoint` does.
    """
    last, before = folder / CHECKPOINT, folder / CHECKPOINT_BEFORE
    try:
        return _of_run(last, kind, config_hash)
    except DamagedCheckpoint as error:
        reason = str(error)
    try:
        state = _of_run(before, kind, config_hash)
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(
            f"{reason}, and no other can be read; delete {shlex.quote(str(last))} and "
            f"{shlex.quote(str(before))}, and --resume starts the run anew"
        ) from error
    print(f"warning: {reason}; going on from the one before it", file=sys.stderr)
    return state


def load_checkpoint(path: Path, kind: str, config_hash: str) -> dict[str, Any]:
    """Read a checkpoint of this kind of run and config onto the CPU.

    Raises: DamagedCheckpoint when it is missing, cut short, changed, or not a checkpoint at all;
            UserError when it is of another format, kind of run or config.
    """
    state = _read(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise UserError(
            f"checkpoint {path} has format {_shown(found)}, this version reads format {FORMAT}; "
            "use the version that wrote it, or start a new run"
        )
    if state.get("kind") != kind:
        raise UserError(
            f"checkpoint {path} is of a {_shown(state.get('kind'))}, not of a {kind}; put the "
            "run's own checkpoint in its place"
        )
    if state.get("config_hash") != config_hash:
        raise UserError(
            f"checkpoint {path} is of another config (hash {_shown(state.get('config_hash'))}) "
            f"than {CONFIG} next to it (hash {config_hash}); put the run's own files in their place"
        )
    return state


def _of_run(path: Path, kind: str, config_hash: str) -> dict[str, Any]:
    state = load_checkpoint(path, kind, config_hash)
    seconds = state.get("seconds")
    if not isinstance(state.get("state"), dict) or not isinstance(seconds, float):
        raise DamagedCheckpoint(f"checkpoint {path} cannot be read (it has no state)")
    if not math.isfinite(seconds):
        raise DamagedCheckpoint(f"checkpoint {path} cannot be read (its seconds are {seconds})")
    return state


def _read(path: Path) -> Any:
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"checkpoint {path} is missing") from error
    with stream:
        try:
            return load_torch(stream)
        except (ValueError, OSError) as error:
            raise DamagedCheckpoint(
                f"checkpoint {path} cannot be read ({_first_line(error)}): it is cut short, "
                "changed or not a checkpoint"
            ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _shown(value: object) -> str:
    """What stands in a file, for a message: a number or a short text as it is, else its type."""
    if isinstance(value, str) and len(value) <= 40 and value.isprintable():
        return value
    if isinstance(value, int) and abs(value) < 10**12:
        return str(value)
    return type(value).__name__
