"""Whether this process shows no progress: a command with --quiet, or a process that works for
another. It imports nothing, so that a command's `--help` is instant."""

from collections.abc import Iterator
from contextlib import contextmanager

_quiet = False


def is_quiet() -> bool:
    """Whether this is inside a block of `hushed`."""
    return _quiet


@contextmanager
def hushed(quiet: bool = True) -> Iterator[None]:
    """Inside, `supernet.progress` shows nothing, whoever calls it; with False it is as outside."""
    global _quiet
    before, _quiet = _quiet, _quiet or quiet
    try:
        yield
    finally:
        _quiet = before
