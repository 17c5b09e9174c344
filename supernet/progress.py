"""Progress of steps that take long, with the time left: a bar on a terminal, else plain lines.

A log file gets a line a minute and never a carriage return; --quiet shows nothing.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from tqdm import tqdm

from supernet.quiet import is_quiet

Item = TypeVar("Item")

WAIT_SECONDS = 2.0
"""A step that ends sooner shows no bar, where it is made `with_progress`."""
LINE_SECONDS = 60.0
"""Between two lines without a terminal."""


class Progress(tqdm):  # type: ignore[type-arg]
    """A bar on standard error; without a terminal a line now and then, with `quiet` nothing.

    total: how many units there are, None where nobody knows. It may change on the way. Where there
        are none, nothing shows.
    """

    def __init__(
        self, what: str, total: float | None, unit: str, *, quiet: bool = False, initial: int = 0,
        **options: Any,
    ) -> None:  # fmt: skip
        quiet = quiet or is_quiet() or total == 0
        super().__init__(
            total=total, initial=initial, desc=what, unit=unit,
            disable=True if quiet else None, **{"dynamic_ncols": True, **options},
        )  # fmt: skip
        self._plain = self.disable and not quiet
        self._what, self._unit, self._first = what, unit, initial
        self._began = self._said = time.monotonic()

    def update(self, n: float | None = 1) -> bool | None:
        """Count `n` more."""
        if not self._plain:
            return super().update(n)
        self.n += n or 0
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS and self.n > self._first:
            self._said = now
            say_without_terminal(self._line(now - self._began))
        return None

    def _line(self, seconds: float) -> str:
        units = f"{self._unit}{'es' if self._unit.endswith('s') else 's'}"
        if self.total is None:
            return f"{self._what}: {int(self.n):,} {units}"
        left = seconds * (self.total - self.n) / (self.n - self._first)
        text = f"{self._what}: {int(self.n):,} of {int(self.total):,} {units}"
        return f"{text}, {self.format_interval(left)} left" if left > 0 else text


def with_progress(
    items: Iterable[Item], what: str, unit: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[Item]:
    """The items one by one, while a bar says how many are done.

    total: how many there are, where `items` does not know it.
    """
    count = len(items) if isinstance(items, Sized) else total
    with Progress(what, count, unit, quiet=quiet, leave=False, delay=WAIT_SECONDS) as bar:
        for item in items:
            yield item
            bar.update()


def say_without_terminal(text: str, *, quiet: bool = False) -> None:
    """A line on standard error in place of a bar: only where that is no terminal."""
    if not (quiet or is_quiet() or sys.stderr.isatty()):
        print(text, file=sys.stderr, flush=True)
