"""Watches a reader of a damaged file: its time, its memory, and what it does elsewhere."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fuzz.reader import MOST_SECONDS

MOST_MEMORY = 1 << 30
"""Bytes above what the process has when it has read the good files."""
MOST_WAIT = 300
"""Seconds on the clock for one file, of a machine that is busy."""
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
          "os.startfile", "socket.connect", "socket.getaddrinfo", "urllib.Request", "pty.spawn",
          "ctypes.dlopen")  # fmt: skip
"""Audit events that no reader causes."""
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate",
           "os.chmod", "os.chown", "shutil.rmtree", "shutil.copyfile", "shutil.move")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class TooSlow(BaseException):
    """One file took too long. Not an Exception: no reader catches it."""


class Outside(BaseException):
    """A reader wrote, or started something."""


class Watch:
    """Raises Outside in a read that does what no reader may, and TooSlow in one that takes long."""

    def __init__(self) -> None:
        self.folder: str | None = None
        sys.addaudithook(self._see)
        signal.signal(signal.SIGPROF, _late)
        signal.signal(signal.SIGALRM, _late)

    @contextmanager
    def reading(self, folder: Path) -> Iterator[None]:
        """Only files in this folder may be written in the block: a log is cut to whole lines.

        The block has so much processor time, and much more time on the clock (a read that waits).
        """
        self.folder = str(folder)
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, MOST_WAIT)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.folder = None

    def _see(self, event: str, given: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in STARTS:
            raise Outside(f"{event} {str(given)[:200]}")
        if given and isinstance(given[0], int):
            return  # of a file that is open, which was looked at when it was opened
        if event in CHANGES or (event == "open" and isinstance(given[2], int)
                                and given[2] & WRITING):  # fmt: skip
            path = os.path.abspath(os.fsdecode(given[0]))
            if not f"{path}{os.sep}".startswith(self.folder + os.sep):
                raise Outside(f"{event} of {path[:200]}")


def _late(number: int, frame: object) -> None:
    raise TooSlow(signal.Signals(number).name)


def limit_memory() -> None:
    """Let an allocation fail that would take this process MOST_MEMORY above what it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
