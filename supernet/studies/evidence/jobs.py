"""Child processes side by side, group by group, with one Ctrl-C for all of them."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

POLL_SECONDS = 0.2
Item = TypeVar("Item")


class Jobs(Generic[Item]):
    """Runs the items of each group one after the other, and as many groups at a time as allowed.

    start: begins an item and returns its process; None where there is nothing to run.
    ended: is told of each item whose process has ended, with its exit status.
    """

    def __init__(
        self,
        start: Callable[[Item], "subprocess.Popen[bytes] | None"],
        ended: Callable[[Item, int], None],
        *,
        most: int,
    ) -> None:
        self.start, self.ended, self.most = start, ended, most
        self._running: dict[subprocess.Popen[bytes], tuple[Item, deque[Item]]] = {}

    def run(self, groups: Iterable[Iterable[Item]], interrupted: Callable[[], bool]) -> None:
        """All items. After Ctrl-C no item begins; those that run are told once and waited for.

        Whatever else happens (a second Ctrl-C, an error of `start` or `ended`) ends the processes.
        """
        waiting, told = deque(deque(group) for group in groups), False
        try:
            while True:
                while waiting and len(self._running) < self.most and not interrupted():
                    self._begin(waiting.popleft(), interrupted)
                if interrupted():
                    waiting.clear()
                    if not told:
                        for process in self._running:
                            process.send_signal(signal.SIGINT)
                    told = True
                if not self._running:
                    if waiting:
                        continue
                    return
                time.sleep(POLL_SECONDS)
                waiting.extendleft(self._over())
        except BaseException:
            for process in self._running:
                process.terminate()
            raise

    def _begin(self, group: deque[Item], interrupted: Callable[[], bool]) -> None:
        """Start the first item of a group that has something to run."""
        while group and not interrupted():
            item = group.popleft()
            process = self.start(item)
            if process is not None:
                self._running[process] = (item, group)
                return

    def _over(self) -> list[deque[Item]]:
        """The rest of each group whose process has ended."""
        rests = []
        for process in [p for p in self._running if p.poll() is not None]:
            item, rest = self._running.pop(process)
            self.ended(item, process.returncode)
            rests.append(rest)
        return rests
