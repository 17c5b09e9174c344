"""One process per folder: an advisory lock whose file says who holds it. No torch."""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from supernet.errors import UserError
from supernet.files import naming
from supernet.invocation import command_line

LOCK = ".lock"
_LONGEST = 1_000
"""Characters of the holder's sentence that are shown."""


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the lock of a folder, which is made where there is none; yields its file descriptor.

    The lock ends with the last process that has the descriptor, however that ends: a child that
    inherits it holds the lock also when its parent was killed. The file stays. Where the file
    system has no locks a warning says so.

    Raises: UserError that names the holder while another process has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    # Unbuffered: what a full disk refused would be written again when the file is closed.
    with os.fdopen(os.open(folder / LOCK, flags, 0o666), "r+b", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder} is in use by {_holder(stream)}, or by one that it started; wait until "
                "it has ended, or name another folder"
            ) from error
        except OSError as error:
            print(
                f"warning: {folder} cannot be locked ({error.strerror}): start no second process "
                "in it",
                file=sys.stderr,
            )
        with naming(folder / LOCK):
            stream.truncate(0)
            stream.write(_sentence().encode("utf-8", "replace"))
        yield stream.fileno()


def _sentence() -> str:
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {began} ({command_line()})\n"


def _holder(stream: IO[bytes]) -> str:
    """What the holder wrote, which may be nothing yet, as one line of printable characters."""
    said = stream.read(_LONGEST).decode("utf-8", "replace")
    return "".join(c for c in said if c.isprintable()) or "another process"
