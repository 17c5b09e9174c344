"""Makes the directory of a new run, or reads one that this version can go on with. No torch."""

import shlex
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import read_json
from supernet.shapes import misfit, require

FORMAT = 3
"""The format of config.json and of the files next to it. Format 1 had settings that are gone,
format 2 neither proposals nor a refinement."""

SCRIPTS = {"search": "scripts/search.py", "training": "scripts/train.py"}
"""Kind of run -> the command that makes and resumes it."""

DESCRIPTION = {
    "config": dict, "config_hash": str, "command": str, "data": {"name": str, "source": str},
    "device": str, "device_type": str, "threads": int, "versions": dict,
}  # fmt: skip
"""What config.json holds of every run, with its shape."""
OF_KIND: dict[str, dict[str, Any]] = {
    "search": {"impl": ("reference", "batched", "native")},
    "training": {"code": str},
}

_MOST = 10_000


def plain(dataset: str) -> str:
    """The name of a data set, folder:PATH too, as a part of a file name."""
    return dataset.replace(":", "-").replace("/", "-")


def new_folder(out: str | None, automatic: Path) -> Path:
    """Make and return `out`, or without it `automatic`, with a number behind it if that is taken.

    Raises: UserError when `out` holds a run already.
    """
    if out is not None:
        folder = Path(out)
        # Killed before its first checkpoint, a run left nothing: it starts anew.
        if (folder / "config.json").exists() and (folder / "checkpoint.pt").exists():
            raise UserError(
                f"{folder} already holds a run; use --resume {shlex.quote(str(folder))} or "
                "another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return folder
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


def read_description(folder: Path, kind: str) -> dict[str, Any]:
    """The config.json of a run of this kind.

    Raises: UserError when the folder holds no run, one of another kind, or one that a version with
            another format has written.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a run directory (it has no config.json); name one")
    description = read_json(path)
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise UserError(f"{path} is not the config.json of a run; name another folder")
    if description.get("format") != FORMAT:
        versions = description.get("versions")
        written = versions.get("robust-supernet") if isinstance(versions, dict) else None
        named = misfit(description.get("format", 1), int) is None
        raise UserError(
            f"{folder} has format {description.get('format', 1) if named else 'unknown'}"
            f" (robust-supernet {written if isinstance(written, str) else 'of an unknown version'})"
            f"; this version reads format {FORMAT}: use the version that wrote it, or start a new"
            " run"
        )
    found = description.get("kind")
    if found != kind:
        made = SCRIPTS.get(found) if isinstance(found, str) else None
        hint = f"; {made} made it" if made else ""
        raise UserError(
            f"{folder} holds {f'a {found}' if made else 'another run'}, not a {kind}{hint}"
        )
    require(description, {**DESCRIPTION, **OF_KIND[kind]}, path)
    return description
