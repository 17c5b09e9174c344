"""What a reader of files from outside is, and what it may do with a damaged one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.errors import UserError

MOST_SECONDS = 5.0
"""Of processor time for one file."""
MOST_MESSAGE = 2_000
"""Characters: a longer message shows a whole file."""


@dataclass(frozen=True)
class Reader:
    """A reader, and files that it takes."""

    read: Callable[[Path], Any]
    file: str
    """The name that the file must have, which may lie in a folder below."""
    good: Callable[[], list[bytes]]
    beside: Callable[[Path], Any] = lambda folder: None
    """Writes what must lie beside the file."""
    json: bool = False
    """Whether the file is JSON, whose values are damaged as well as its bytes."""
    edited: Callable[[Callable[[Any], Any]], bytes] | None = None
    """Makes the file of a good one's values after an edit, where it is another kind of file."""
    zipped: bool = False
    """Whether the file is a zip archive, in which entries are damaged as well."""


def survives(reader: Reader, folder: Path, data: bytes) -> bool:
    """Read a damaged file; whether it was read. A UserError is an answer, all else is a fault."""
    path = folder / reader.file
    if not path.parent.is_dir():
        path.parent.mkdir()
    path.write_bytes(data)
    start, read = time.process_time(), True
    try:
        reader.read(path)
    except UserError as error:
        read = False
        assert len(str(error)) < MOST_MESSAGE, "a message shows a whole file"
        assert not _wanted_memory(error), "it was refused because memory ran out"
    assert time.process_time() - start < MOST_SECONDS
    return read


def _wanted_memory(error: BaseException | None) -> bool:
    """Whether an allocation that failed lies behind an error: without a limit, it is made."""
    while error is not None:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
