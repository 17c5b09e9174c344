"""Makes the directory of a new run, or opens one that this version can go on with. No torch."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import read_json, remove_leftovers
from supernet.invocation import named
from supernet.report.run_files import METRICS_FILE
from supernet.runs.lock import locked
from supernet.shapes import misfit, require

FORMAT = 3
"""The format of config.json and of the files next to it. Format 1 had settings that are gone,
format 2 neither proposals nor a refinement."""

COMMANDS = {"search": "search", "training": "train", "sweep": "sweep"}
"""Kind of run -> the command that makes and resumes it."""

CONFIG = "config.json"
CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.pt", "checkpoint-before.pt"
"""The last checkpoint of a run, and the one before it."""
DESCRIPTION = {
    "config": dict, "config_hash": str, "command": str, "data": {"name": str, "source": str},
    "device": str, "device_type": str, "threads": int, "versions": dict,
}  # fmt: skip
"""What config.json holds of every run, with its shape."""
OF_KIND: dict[str, dict[str, Any]] = {
    "search": {"impl": ("reference", "batched", "native")},
    "training": {"code": str},
    "sweep": {},
}

_MOST = 10_000
_RESULTS = (
    CHECKPOINT, CHECKPOINT_BEFORE, METRICS_FILE, "genotype.json", "front.json", "finalists.json",
    "report.md", "figures", "model.pt", "model.json",
)  # fmt: skip
"""What a run would overwrite where another program has left it."""


def plain(dataset: str) -> str:
    """The name of a data set, folder:PATH too, as a part of a file name."""
    return dataset.replace(":", "-").replace("/", "-")


def fingerprint(values: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of values that JSON can write."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


@contextmanager
def new_folder(out: str | None, automatic: Path, kind: str) -> Iterator[Path]:
    """Make and lock `out`, or without it `automatic`, with a number behind it if that is taken.

    A run of this kind that ended before its first checkpoint left nothing: its folder starts anew.
    Raises: UserError when `out` holds a run already or files that a run would overwrite, or when
            another process is in it.
    """
    folder = _free(automatic) if out is None else Path(out)
    if out is not None:
        _refuse_taken(folder, kind)  # before the lock's file is written
    with locked(folder):
        if out is not None:
            _refuse_taken(folder, kind)
        clear(folder)
        yield folder


@contextmanager
def old_folder(folder: Path) -> Iterator[None]:
    """Lock the folder of a run that goes on, and remove what a killed process left in it.

    Raises: UserError when another process is in it.
    """
    with locked(folder):
        _remove_leftovers(folder)
        yield


def clear(folder: Path) -> None:
    """Remove what a run that ended before its first checkpoint left: its log and leftovers."""
    _remove_leftovers(folder)
    for path in (folder / METRICS_FILE, *folder.glob("events.out.tfevents.*")):
        path.unlink(missing_ok=True)


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint that the run in a folder can go on from."""
    return any((folder / name).is_file() for name in (CHECKPOINT, CHECKPOINT_BEFORE))


def read_description(folder: Path, kind: str) -> dict[str, Any]:
    """The config.json of a run of this kind.

    Raises: UserError when the folder holds no run, one of another kind, or one that a version with
            another format has written.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is not a run directory (it has no {CONFIG}); name one")
    description = read_json(path)
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise UserError(f"{path} is not the {CONFIG} of a run; name another folder")
    if description.get("format") != FORMAT:
        versions = description.get("versions")
        written = versions.get("robust-supernet") if isinstance(versions, dict) else None
        numbered = misfit(description.get("format", 1), int) is None
        raise UserError(
            f"{folder} has format {description.get('format', 1) if numbered else 'unknown'}"
            f" (robust-supernet {written if isinstance(written, str) else 'of an unknown version'})"
            f"; this version reads format {FORMAT}: use the version that wrote it, or start a new"
            " run"
        )
    found = description.get("kind")
    if found != kind:
        made = COMMANDS.get(found) if isinstance(found, str) else None
        hint = f"; {named(made)} made it" if made else ""
        raise UserError(
            f"{folder} holds {f'a {found}' if made else 'another run'}, not a {kind}{hint}"
        )
    require(description, {**DESCRIPTION, **OF_KIND[kind]}, path)
    return description


def _free(automatic: Path) -> Path:
    for number in range(1, _MOST):
        folder = automatic
        if number > 1:
            folder = automatic.with_name(f"{automatic.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise UserError(f"{automatic} and {_MOST - 2:,} more are taken; name another folder with --out")


def _refuse_taken(folder: Path, kind: str) -> None:
    if (folder / CONFIG).exists():
        if has_checkpoint(folder):
            raise UserError(
                f"{folder} already holds a run; use --resume {shlex.quote(str(folder))} or "
                "another --out"
            )
        read_description(folder, kind)
        return
    found = [name for name in _RESULTS if (folder / name).exists()]
    if found:
        raise UserError(
            f"{folder} has no {CONFIG}, but {', '.join(found)}, which a run would overwrite; give "
            "another --out"
        )


def _remove_leftovers(folder: Path) -> None:
    for place in (folder, folder / "figures"):
        if not place.is_symlink():
            remove_leftovers(place)
