"""The loop of a run: steps and epochs, a checkpoint after each epoch, Ctrl-C between two steps."""

import shlex
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import torch

from ops.captures import CAPTURES
from supernet.distributed import Lost, Ranks
from supernet.errors import UserError, refusal
from supernet.files import naming, read_json
from supernet.finite import Diverged, Watch, refuse_not_finite
from supernet.invocation import command
from supernet.progress import Progress
from supernet.runs.checkpoint import save_last
from supernet.runs.folder import CHECKPOINT, CONFIG, has_checkpoint
from supernet.runs.interrupts import Interrupted, deferred_interrupts
from supernet.runs.machine import peak_memory_mb
from supernet.runs.tracking import Tracker


class Job(Protocol):
    """What a run runs: a search or a training."""

    device: torch.device
    ranks: Ranks
    step: int
    watch: Watch
    """What has looked at the numbers of its steps."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""

    @property
    def remedy(self) -> str:
        """What to do where its numbers are not finite any more."""

    def train_step(self) -> None:
        """One step."""

    def epoch_means(self) -> dict[str, float]:
        """Means over the epoch that has just ended."""

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""


AnyJob = TypeVar("AnyJob", bound=Job)

_EXACT = (
    "with as many processes bit for bit as if nothing had happened, with another number from the "
    "same state but with other random numbers"
)


FEW_IMAGES = 4
"""Fewer images than this give batch norm statistics that change from step to step."""


def warn_of_few_images(batch_size: int, ranks: Ranks, *, synchronised: bool) -> None:
    """Say where batch norm takes its statistics from very few images: those of a step, or without
    synchronised statistics those that a process has of it.

    batch_size: images of a step, of all processes together.
    """
    images = batch_size if synchronised else batch_size // ranks.count
    if images < FEW_IMAGES:
        alone = ranks.count == 1 or synchronised
        where = "" if alone else " in each process, because of --no-sync-batch-norm"
        print(
            f"warning: batch norm takes its statistics from {images} image{'s' * (images > 1)} of "
            f"a step{where}: they change from step to step, and running statistics do not fit; "
            f"raise --batch-size{'' if alone else ' or leave --no-sync-batch-norm out'}",
            file=sys.stderr,
        )


class Run(ABC, Generic[AnyJob]):
    """A run in its directory. `seconds` and `resumed` are of a run that goes on.

    A kind of run is a subclass: it measures, follows each epoch, and concludes. Of several
    processes the first alone measures, prints, and reads and writes the directory; all take the
    same steps, and state and interruptions are agreed on between them.
    """

    kind: str
    """As config.json and the checkpoint name it: search, training."""
    command: str
    """The command that resumes it."""

    def __init__(
        self,
        job: AnyJob,
        folder: Path,
        *,
        epochs: int,
        quiet: bool,
        seconds: float = 0.0,
        resumed: bool = False,
    ) -> None:
        self.job, self.folder, self.epochs, self.ranks = job, folder, epochs, job.ranks
        self.quiet = quiet or not self.ranks.first
        self.resumed = resumed
        self.seconds_before, self.started = seconds, time.perf_counter()
        self.saved_step = job.step if resumed else None
        """The step of the last checkpoint."""
        CAPTURES.begin()
        description = self.ranks.from_first(lambda: read_json(folder / CONFIG))
        self.config_hash = str(description["config_hash"])
        if self.ranks.first:
            with naming(folder):
                self.tracker = Tracker(
                    folder, description, resume_step=job.step if resumed else None
                )

    @abstractmethod
    def introduce(self) -> None:
        """Before the first step of this process, in the first one alone."""

    @abstractmethod
    def measure(self) -> dict[str, Any]:
        """What the record of an epoch holds besides its means, time and memory."""

    @abstractmethod
    def follow(self, record: dict[str, Any], write: Callable[..., None]) -> None:
        """After an epoch that is logged, before its checkpoint. write(text, file=stream) prints
        above the progress bar. In the first process alone."""

    @abstractmethod
    def conclude(self) -> None:
        """After the last step: write the results. In every process, so that they can share work;
        the first alone writes."""

    @property
    def seconds(self) -> float:
        """Wall-clock of the run, all its processes together."""
        return self.seconds_before + time.perf_counter() - self.started

    def finish(self) -> Path:
        """Train, then conclude; whatever happens, the log is on the disk.

        Raises: Interrupted after Ctrl-C; UserError when the numbers are not finite any more, and,
                saying how to go on, when the disk or a standard stream refuses what is written, and
                when another process of the run has ended.
        """
        try:
            self.train()
            self.conclude()
            self._close()
        except Interrupted:
            raise
        except Diverged as error:
            kept = f"{self.folder / CHECKPOINT} is of step {self.saved_step}, before it"
            raise UserError(f"{error}; {kept}") from error
        except Lost as error:
            kept = f"{self.folder / CHECKPOINT} is of step {self.saved_step}"
            raise Lost(f"{error}; {kept}, {self._way_on}, {_EXACT}") from error
        except KeyboardInterrupt:
            # While concluding: the training is complete and its checkpoint is written.
            self.stop()
        except OSError as error:
            words = refusal(error, self.folder)
            if words is None:
                raise
            raise UserError(f"{words}; when that is mended, {self._way_on}") from error
        finally:
            with suppress(OSError):  # said above
                self._close()
        return self.folder

    def _close(self) -> None:
        if self.ranks.first:
            self.tracker.close()

    def train(self) -> None:
        """All steps that are left; a checkpoint before the first, after each epoch and Ctrl-C."""
        job = self.job
        # torchrun passes it on when told to end, and sends it where another process has ended.
        told = (signal.SIGTERM,) if self.ranks.count > 1 else ()
        with deferred_interrupts(*told) as interrupted:
            if self.ranks.first:
                self.introduce()
            if not self.resumed:
                self.checkpoint()  # from here on, whatever happens, the run can be resumed
            bar = Progress(self.kind, job.total_steps, "step", initial=job.step, quiet=self.quiet)
            with bar:
                while job.step < job.total_steps:
                    self._epoch(bar, interrupted)
            if self.ranks.any(interrupted()):  # in the last step: everything is recorded
                self.stop()

    def checkpoint(self) -> None:
        """All that is logged is on the disk first: a resume writes nothing before it again.

        Raises: Diverged instead of writing a state that is not finite; UserError instead of one
                that differs between the processes.
        """
        state = self.finite_state()
        self.ranks.refuse_different(state, f"after step {self.job.step:,}")
        if self.ranks.first:
            self.tracker.flush()
            content = {"state": state, "seconds": self.seconds}
            save_last(self.folder, self.kind, self.config_hash, content)
        self.saved_step = self.job.step

    def finite_state(self) -> dict[str, Any]:
        """The state of the job.

        Raises: Diverged when a tensor of it is not finite, or was in a step before.
        """
        self.job.watch.refuse()
        state = self.job.state_dict()
        refuse_not_finite(state, self.job.step, self.job.remedy)
        return state

    @property
    def _way_on(self) -> str:
        """The command that goes on with a run which could not be written any further."""
        if not has_checkpoint(self.folder):
            return "give the same command again"
        return f"go on with: {self._resume_command}"

    @property
    def _resume_command(self) -> str:
        resume = f"{command(self.command)} --resume {shlex.quote(str(self.folder))}"
        return self.ranks.launched(resume)

    def stop(self) -> NoReturn:
        """End the process's part of the run, and say how to go on."""
        all_done = self.job.step == self.job.total_steps
        where = ", in what follows them; what is done is kept" if all_done else ""
        raise Interrupted(
            f"stopped after {self.job.step} of {self.job.total_steps} steps "
            f"({self.epochs} epochs){where}; go on with:\n"
            f"  {self._resume_command}" + (f"\n{_EXACT}" if self.ranks.count > 1 else "")
        )

    def _epoch(self, bar: Any, interrupted: Callable[[], bool]) -> None:
        job, first, began = self.job, self.job.step, time.perf_counter()
        epoch = job.epoch + 1
        while job.epoch < epoch:
            # Before the step: after an epoch's last one its record must be written first.
            if self.ranks.any(interrupted()):
                self.checkpoint()
                self.stop()
            job.train_step()
            bar.update()
        trained = time.perf_counter()
        bar.set_postfix_str("measuring")
        self.finite_state()  # before it is measured: attacks refuse what is not a number
        record = {"epoch": epoch, "step": job.step, "lr": job.lr, **job.epoch_means()}
        if self.ranks.first:
            record |= {
                **self.measure(),
                "step_seconds": (trained - began) / (job.step - first),
                "seconds": self.seconds,
                "peak_memory_mb": peak_memory_mb(job.device),
            }
            bar.set_postfix_str("", refresh=False)
            self.follow(record, lambda text, file=sys.stdout: bar.write(text, file=file))
        self.checkpoint()
