"""Progress of steps that take long, with the time left: a bar on a terminal, else plain lines.

A log file gets a line a minute and never a carriage return; --quiet shows nothing.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

WAIT_SECONDS = 2.0
"""A step that ends sooner shows no bar, where it is made `with_progress`."""
LINE_SECONDS = 60.0
"""Between two lines without a terminal."""


class Progress(tqdm):  # type: ignore[type-arg]
    """A bar on standard error; without a terminal a line now and then, with `quiet` nothing."""

    def __init__(
        self, what: str, total: int, unit: str, *, quiet: bool = False, initial: int = 0,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            total=total, initial=initial, desc=what, unit=unit,
            disable=True if quiet else None, **{"dynamic_ncols": True, **options},
        )  # fmt: skip
        self._plain = self.disable and not quiet
        self._what, self._unit, self._total = what, unit, total
        self._first = self._done = initial
        self._began = self._said = time.monotonic()

    def update(self, n: float | None = 1) -> bool | None:
        """Count `n` more."""
        if not self._plain:
            return super().update(n)
        self._done += int(n or 0)
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS and self._done > self._first:
            self._said = now
            say_without_terminal(self._line(now - self._began))
        return None

    def _line(self, seconds: float) -> str:
        left = seconds * (self._total - self._done) / (self._done - self._first)
        text = f"{self._what}: {self._done:,} of {self._total:,} {self._unit}s"
        return f"{text}, {self.format_interval(left)} left" if left > 0 else text


def with_progress(
    items: Sequence[Item], what: str, unit: str, *, quiet: bool = False
) -> Iterator[Item]:
    """The items one by one, while a bar says how many are done."""
    with Progress(what, len(items), unit, quiet=quiet, leave=False, delay=WAIT_SECONDS) as bar:
        for item in items:
            yield item
            bar.update()


def say_without_terminal(text: str, *, quiet: bool = False) -> None:
    """A line on standard error in place of a bar: only where that is no terminal."""
    if not (quiet or sys.stderr.isatty()):
        print(text, file=sys.stderr, flush=True)
