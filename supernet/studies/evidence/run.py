"""Running the plan: searches as subprocesses, some side by side, each recorded as it ends.

A run that is in evidence.json is done, wherever its folder is; one whose folder has a checkpoint
goes on from there.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from supernet.errors import UserError
from supernet.files import remove_leftovers
from supernet.runs.interrupts import Interrupted, deferred_interrupts
from supernet.runs.lock import locked
from supernet.studies.evidence.collected import Evidence
from supernet.studies.evidence.commands import OUTPUT, begin
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.jobs import Jobs
from supernet.studies.evidence.page import refuse_other_page, write_page
from supernet.studies.evidence.plan import ROWS, Row, Run
from supernet.studies.evidence.records import FINISHED


def make_evidence(config: EvidenceConfig, *, rows: tuple[Row, ...] = ROWS) -> Path:
    """Run what is missing, write evidence.json after each run and the page at the end.

    Raises: UserError before anything runs, also while another process runs the plan or a search of
    it; or at the end when searches failed. Interrupted after the searches that ran have written
    their checkpoints.
    """
    out, page = Path(config.out), Path(config.page)
    refuse_other_page(out, page)
    if config.page_only:
        return write_page(out, page)
    evidence = Evidence(config, rows)
    if not evidence.left():
        evidence.write()
        return write_page(out, page)
    # The searches inherit the lock: one that outlives a killed parent still holds it.
    with locked(Path(config.runs)) as lock:
        for folder in (out, page.parent, evidence.shared.folder):
            remove_leftovers(folder)
        evidence = Evidence(config, rows)  # as a process that held the lock has left it
        evidence.write()
        try:
            with deferred_interrupts() as interrupted:
                Sitting(evidence, evidence.left(), lock).run(interrupted)
        finally:
            write_page(out, page)
    return page


class Sitting:
    """One call's part of the plan: runs begin, end and are recorded."""

    def __init__(self, evidence: Evidence, left: list[Run], lock: int) -> None:
        self.evidence, self.left, self.lock = evidence, left, lock
        self.config, self.began = evidence.config, time.monotonic()
        self.number, self.late = 0, 0
        self.failed: dict[str, int] = {}
        """Name of a run -> exit status of its search."""

    def run(self, interrupted: Callable[[], bool]) -> None:
        """Make all runs, group by group.

        Raises: UserError when searches failed; Interrupted after Ctrl-C.
        """
        groups = {run.group: [r for r in self.left if r.group == run.group] for run in self.left}
        Jobs(self.start, self.ended, most=self.config.jobs).run(groups.values(), interrupted)
        if interrupted():
            # In the plan's order: searches side by side end in any.
            stopped = " and ".join(run.name for run in self.left if run.name in self.failed)
            raise Interrupted(f"stopped{' in ' * bool(stopped)}{stopped}; the same command goes on")
        if self.late:
            print(
                f"{self.config.minutes:g} minutes are over, {self.late} runs are left; the same "
                "command goes on"
            )
        if self.failed:
            each = "; ".join(f"{name} with status {s}" for name, s in self.failed.items())
            where = "above" if self.config.jobs == 1 else f"in {OUTPUT} of their folders"
            raise UserError(f"failed: {each}; what they said stands {where}")

    def start(self, run: Run) -> "subprocess.Popen[bytes] | None":
        """Begin a run; only record one that finished elsewhere; leave one for which it is late."""
        folder, minutes = self._folder(run), self.config.minutes
        self.number += 1
        if (folder / FINISHED).is_file():
            self._record(run)
            return None
        if minutes is not None and time.monotonic() - self.began >= 60 * minutes:
            self.late += 1
            return None
        print(f"\n[{self.number} of {len(self.left)}] {run.name}: {run.row.words}", flush=True)
        self.evidence.shared.lend(run.config(), folder)
        return begin(run, self.config, self.lock)

    def ended(self, run: Run, status: int) -> None:
        """Record a run whose search ended well; remember one whose search did not."""
        if status == 0:
            self._record(run)
            return
        self.evidence.shared.take(run.config(), self._folder(run))
        self.failed[run.name] = status

    def _record(self, run: Run) -> None:
        self.evidence.shared.take(run.config(), self._folder(run))
        self.evidence.record(run)

    def _folder(self, run: Run) -> Path:
        return Path(self.config.runs) / run.name
