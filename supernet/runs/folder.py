"""What every kind of run does with its directory: find one, and leave it in order. No torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from supernet.errors import UserError
from supernet.runs.interrupts import Interrupted

_MOST = 10_000


class Run(Protocol):
    """A search or a training in its directory."""

    tracker: Any

    def train(self) -> None:
        """All steps that are left, ending with a checkpoint."""

    def stop(self) -> NoReturn:
        """Raise Interrupted, with the command that goes on."""


AnyRun = TypeVar("AnyRun", bound=Run)


def plain(dataset: str) -> str:
    """The name of a data set, folder:PATH too, as a part of a file name."""
    return dataset.replace(":", "-").replace("/", "-")


def new_folder(out: str | None, automatic: Path) -> Path:
    """Make and return `out`, or without it `automatic`, with a number behind it if that is taken.

    Raises: UserError when `out` holds a run already.
    """
    if out is not None:
        folder = Path(out)
        if (folder / "config.json").exists():
            raise UserError(f"{folder} already holds a run; use --resume {folder} or another --out")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    for number in range(1, _MOST):
        folder = automatic
        if number > 1:
            folder = automatic.with_name(f"{automatic.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise UserError(f"{automatic} and {_MOST - 2:,} more are taken; name another folder with --out")


def finish(run: AnyRun, conclude: Callable[[AnyRun], Path]) -> Path:
    """Train, then conclude; whatever happens, what was logged is on the disk."""
    try:
        run.train()
        return conclude(run)
    except Interrupted:
        raise
    except KeyboardInterrupt:
        # While concluding: the training is complete and its checkpoint is written.
        run.stop()
    finally:
        run.tracker.close()
