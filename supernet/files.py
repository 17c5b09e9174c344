"""Writes files whole or not at all, and finds the data root."""

import errno
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from supernet.errors import UserError

DATA_ROOT_VARIABLE = "ROBUST_SUPERNET_DATA"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a full, limited, broken or read-only disk says."""

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp", re.DOTALL)
""".NAME.xxxxxxxx.tmp, as `temporary_neighbour` names a file."""
MOST_JSON_BYTES = 32 << 20
MOST_JSONL_BYTES = 256 << 20
"""Of a log: a search writes about 2 kB an epoch, a ranking of all cells 6 MB."""
MOST_JSON_DEPTH = 50
"""The files of this program have up to ten levels."""


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of `path`; it takes the name only when the block ends well.

    The data are flushed to the disk before the rename, so that a power cut or a SIGKILL leaves the
    old file or the new one, never half of either. Text is UTF-8; a character that it lacks, as the
    names of files may have, is written as an escape.

    Raises: OSError naming `path` where the disk refuses the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding, errors = (None, None) if "b" in mode else ("utf-8", "backslashreplace")
    temporary = None
    try:
        fd, temporary = temporary_neighbour(path)
        with os.fdopen(fd, mode, encoding=encoding, errors=errors) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; a result should be as readable as any other new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        _raise_naming(path, error)
        raise


@contextmanager
def appending(path: str | Path) -> Iterator[IO[str]]:
    """Open a text file to add to it; a write that the disk refuses is an OSError naming it."""
    with naming(path):
        number = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(number, "a", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream


def open_own(path: str | Path, flags: int) -> int:
    """`os.open` of a file that is changed in its place: where a link leads is no such file.

    Raises: UserError where `path` is a link.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError(
            f"{path} is a link, and a run writes into its own files alone; remove the link"
        ) from error


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Give the disk's refusal of a write in the block `path` for a name, where it has none."""
    try:
        yield
    except OSError as error:
        _raise_naming(Path(path), error)
        raise


def _raise_naming(path: Path, error: BaseException) -> None:
    """Raise the disk's refusal again with `path` for a name, where one led to this error.

    A refused write names no file, creating and renaming one name a temporary that nobody knows, and
    torch.save hides the refusal behind an error of its own.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and (_names_temporary_of(path, cause) or (
            cause.filename is None and cause.errno in DISK_ERRORS
        )):  # fmt: skip
            raise OSError(cause.errno, cause.strerror, str(path)) from error
        cause = cause.__cause__ or cause.__context__


def _names_temporary_of(path: Path, error: OSError) -> bool:
    return error.filename is not None and Path(error.filename).name.startswith(f".{path.name}.")


def temporary_neighbour(path: Path) -> tuple[int, str]:
    """Make the file .NAME.xxxxxxxx.tmp next to `path`; returns its descriptor and its name."""
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary neighbours that a killed process left in a folder.

    Only for one who knows that no other process writes there, by a lock for instance.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
            path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with atomic_write(path) as stream:
        stream.write(text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file of finite numbers, with or without a byte order mark.

    Raises: UserError when the file is missing, not JSON, longer than MOST_JSON_BYTES or nested more
            than MOST_JSON_DEPTH levels deep.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_JSON_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    if len(data) > MOST_JSON_BYTES:
        raise UserError(f"{path} is longer than {MOST_JSON_BYTES:,} bytes; name another file")
    try:
        value = json.loads(
            data.decode("utf-8-sig"), parse_constant=_finite_number, parse_float=_finite_number
        )
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); it may be cut short: write it again"
        ) from error
    if _depth_above(value, MOST_JSON_DEPTH):
        raise _too_deep(path)
    return value


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number


def _depth_above(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(item, dict | list) for item in level)


def _too_deep(path: Path) -> UserError:
    return UserError(f"{path} is nested more than {MOST_JSON_DEPTH} levels deep; name another file")


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of JSON objects, one a line; a missing file is read as an empty one.

    A line ends with a newline. A process that was killed while it wrote leaves the last line
    without one, and that line is left out.

    Raises: UserError naming the line that is not a JSON object, or a file that cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_JSONL_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    if len(data) > MOST_JSONL_BYTES:
        raise UserError(f"{path} is longer than {MOST_JSONL_BYTES:,} bytes; name another file")
    lines = data.split(b"\n")[:-1]
    return [_object(line, f"{path} line {number}") for number, line in enumerate(lines, start=1)]


def recover_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """`read_jsonl`, after the line that a kill cut short is cut away: the file can be added to."""
    path = Path(path)
    if path.exists():
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            number = open_own(path, os.O_WRONLY)
            try:
                os.ftruncate(number, whole)
            finally:
                os.close(number)
    return read_jsonl(path)


def append_jsonl(path: str | Path, value: dict[str, Any]) -> None:
    """Add a line to a file of JSON objects. NaN and infinity are refused."""
    with appending(path) as stream:
        stream.write(json.dumps(value, allow_nan=False) + "\n")


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_finite_number, parse_float=_finite_number)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or _depth_above(value, MOST_JSON_DEPTH):
        raise UserError(f"{where} is not a JSON object; delete it and what follows it")
    return value


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def at_home(path: str | Path) -> Path:
    """The path with ~ and ~NAME for home folders; of a user that is not here it stays as it is."""
    return Path(os.path.expanduser(path))


def data_root(argument: str | Path | None = None) -> Path | None:
    """The folder with data sets and benchmark tables, or None where there is none.

    The argument wins, then the environment variable ROBUST_SUPERNET_DATA, then ./data if it exists.

    Raises: UserError when a folder was named and does not exist.
    """
    named = argument or os.environ.get(DATA_ROOT_VARIABLE)
    if named:
        folder = at_home(named)
        if not folder.is_dir():
            origin = "--data-root" if argument else DATA_ROOT_VARIABLE
            raise UserError(f"the data root {folder} (from {origin}) is not a folder; correct it")
        return folder
    default = Path("data")
    return default if default.is_dir() else None
