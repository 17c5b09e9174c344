"""The processes that a program has started, and one of Ray's that is killed at its work."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def below(pid: int) -> Iterator[tuple[int, str]]:
    """(pid, title) of all processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # gone meanwhile
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            waiting.append(child)
            try:
                yield child, (Path("/proc") / str(child) / "cmdline").read_text()
            except OSError:
                continue


@contextmanager
def one_killed(function: str) -> Iterator[None]:
    """Inside, the first worker of Ray that is seen at work on a function of this name is killed."""
    killed: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not (killed or ended.is_set()):
            found = [pid for pid, title in below(os.getpid()) if f"ray::{function}" in title]
            if found:
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert killed, "no worker was seen at its work"
