"""Ctrl-C ends a run between two steps: a half-made step must not reach a checkpoint."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run whose checkpoint is written. The message says how to go on."""


@contextmanager
def deferred_interrupts(*more: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Ctrl-C sets a flag, which the yielded function reads; a second Ctrl-C stops at once.

    more: signals that count as Ctrl-C.
    """
    seen = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True

    numbers = (signal.SIGINT, *more)
    try:
        before = [signal.signal(number, handler) for number in numbers]
    except ValueError:  # not in the main thread: Ctrl-C is not ours to handle
        yield lambda: False
        return
    try:
        yield lambda: seen
    finally:
        for number, handled in zip(numbers, before, strict=True):
            signal.signal(number, handled)
