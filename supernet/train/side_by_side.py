"""Many short trainings side by side in processes, each finished one a line of a file.

An outcome depends on cell, recipe, seed and images alone. Neither the number of processes nor the
order in which they finish, nor a run that was killed and goes on, changes one. Under torchrun each
rank has processes of its own and trains its share; all get all outcomes, and the first writes them.
Ray can take the place of the processes: it starts a training anew whose process was killed.
"""

import concurrent.futures
import dataclasses
import functools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import torch

from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.data.sharing import TENSORS, as_arrays, from_arrays
from supernet.distributed import ALONE, Ranks
from supernet.errors import UserError
from supernet.files import append_jsonl, recover_jsonl, temporary_neighbour
from supernet.on_ray import PROCESSES, Lost, OnRay, Share, address_of
from supernet.processes import one_thread, start_worker
from supernet.shapes import Within, misfit
from supernet.train.short import Outcome, Recipe, train_briefly

_SHARE, _LOSS = Within(float, 0, 1), Within(float, -1e100, 1e100)
OUTCOME = {
    "loss": _LOSS, "acc": _SHARE, "robust_loss": (_LOSS, None), "robust_acc": (_SHARE, None),
    "train_loss": _LOSS, "seconds": Within(float, 0, 1e12),
}  # fmt: skip
"""The shape of an `Outcome` in a file."""


class Trial(NamedTuple):
    """One training that is asked for."""

    code: str
    recipe: Recipe
    seed: int

    def key(self) -> dict[str, Any]:
        """What its line is recognised by."""
        return {"cell": self.code, "seed": self.seed, **dataclasses.asdict(self.recipe)}


class SideBySide:
    """Trains trials in processes and writes each outcome to a file as soon as it is known.

    It is a context manager: processes start with the first training that the file does not hold,
    and end with the block. On a CPU each computes with one thread; on a GPU they share it.

    data: `train` is what the cells learn from, `test` the held-out images.
    ledger: the file of outcomes, JSON lines.
    processes: trainings at a time; of a cluster its CPUs say how many.
    workers: `processes`, `ray` on this machine, or `ray:ADDRESS`, a cluster that runs.
    done: called after each training, in the order in which they finish.
    ranks: those that the trainings are spread over; all ask for the same ones in the same order.
    Raises: UserError when the file holds something else.
    """

    def __init__(
        self,
        data: ImageData,
        ledger: Path,
        *,
        processes: int = 1,
        workers: str = PROCESSES,
        done: Callable[[Trial, Outcome], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.data, self.ledger, self.processes, self.done = data, ledger, processes, done
        self.workers, self.ranks = workers, ranks
        lines = ranks.from_first(lambda: read_ledger(ledger))
        self._known = {trial_key(line): Outcome(**line["outcome"]) for line in lines}
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._workers: list[Any] = []
        self._images: Path | None = None
        self._ray: OnRay | None = None
        self._arrays: dict[str, Any] = {}

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            # Ctrl-C or an error: the trainings that run are lost, those that finished are written.
            for worker in self._workers:
                worker.terminate()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._images is not None:
            self._images.unlink(missing_ok=True)
        if self._ray is not None:
            self._ray.__exit__(kind, error, trace)
        self._pool, self._workers, self._images, self._ray = None, [], None, None

    def is_known(self, trial: Trial) -> bool:
        """Whether the ledger has it."""
        return trial_key(trial.key()) in self._known

    def outcomes(self, trials: Sequence[Trial]) -> list[Outcome]:
        """The outcome of every trial, in their order; those that are not known yet are trained.

        Raises: UserError when a process was killed, saying how to go on; on Ray after four deaths.
        """
        missing = [trial for trial in dict.fromkeys(trials) if not self.is_known(trial)]
        for trial, outcome in self.ranks.spread(missing, self._trained):
            self._write(trial, outcome)
            if self.done is not None:
                self.done(trial, outcome)
        return [self._known[trial_key(trial.key())] for trial in trials]

    def _trained(self, trials: list[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        if self.workers != PROCESSES and trials:
            yield from self._trained_on_ray(trials)
            return
        if self.processes == 1 or len(trials) == 0:
            with one_thread():
                for trial in trials:
                    yield trial, _train(self.data, trial)
            return
        try:
            futures = self._submit(trials)
            for future in concurrent.futures.as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process of the short trainings was killed, perhaps for want of memory; go on "
                "with --processes 1: the trainings that finished are kept"
            ) from error

    def _submit(self, trials: list[Trial]) -> dict[concurrent.futures.Future[Outcome], Trial]:
        if self._pool is None:
            self._images = _written(self.data, self.ledger.parent)
            others = set(multiprocessing.active_children())
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self.processes,
                # Spawned: a forked process inherits torch's threads in an unknown state.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=start_worker,
            )
            futures = self._sent(trials)
            self._workers = [p for p in multiprocessing.active_children() if p not in others]
            return futures
        return self._sent(trials)

    def _sent(self, trials: list[Trial]) -> dict[concurrent.futures.Future[Outcome], Trial]:
        assert self._pool is not None
        device = str(self.data.train_x.device)
        return {
            self._pool.submit(_train_here, str(self._images), device, trial): trial
            for trial in trials
        }

    def _trained_on_ray(self, trials: list[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        images = self.data.train_x
        share = Share(gpus=round(1 / self.processes, 4) if images.is_cuda else 0.0)
        if self._ray is None:
            self._arrays = as_arrays(self.data)
            self._ray = OnRay(
                address=address_of(self.workers), cpus=self.processes,
                store_bytes=sum(self._arrays[name].nbytes for name in TENSORS),
            ).__enter__()  # fmt: skip
            self._ray.check(share)
        train = _train_on_gpu if images.is_cuda else _train_on_cpu
        for trial, outcome in self._ray.results(train, self._arrays, trials, share):
            if isinstance(outcome, Lost):
                raise UserError(
                    f"the short training of {trial.code} was lost ({outcome.reason}); go on with "
                    "--workers processes: the trainings that finished are kept"
                )
            yield trial, outcome

    def _write(self, trial: Trial, outcome: Outcome) -> None:
        line = {**trial.key(), "outcome": dataclasses.asdict(outcome)}
        if self.ranks.first:
            append_jsonl(self.ledger, line)
        self._known[trial_key(trial.key())] = outcome


def read_ledger(ledger: Path) -> list[dict[str, Any]]:
    """The lines of a file of outcomes, after one that a kill cut short is cut away.

    Raises: UserError naming the line that is no outcome.
    """
    lines = recover_jsonl(ledger)
    for number, line in enumerate(lines, start=1):
        outcome = line.get("outcome")
        if misfit(outcome, OUTCOME) is not None or set(outcome or ()) != set(OUTCOME):
            raise UserError(
                f"{ledger} line {number} is not the outcome of a short training; move the file "
                "away, and the trainings are made again"
            )
    return lines


def trial_key(line: dict[str, Any]) -> str:
    """What a line of a ledger is recognised by: all that the trial depends on, as text."""
    return json.dumps({k: v for k, v in line.items() if k != "outcome"}, sort_keys=True)


def _train(data: ImageData, trial: Trial) -> Outcome:
    return train_briefly(Genotype.parse(trial.code), data, trial.recipe, trial.seed)


def _written(data: ImageData, folder: Path) -> Path:
    """The images as a file that processes map into memory: /dev/shm is small in containers."""
    folder.mkdir(parents=True, exist_ok=True)  # on a machine that the first process is not on
    fd, name = temporary_neighbour(folder / "images")
    with os.fdopen(fd, "wb") as stream:
        torch.save({f.name: getattr(data, f.name) for f in dataclasses.fields(data)}, stream)
    return Path(name)


@functools.cache
def _images(path: str, device: str) -> ImageData:
    values: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    for name in TENSORS:
        values[name] = values[name].to(device)
    return ImageData(**values)


def _train_here(images: str, device: str, trial: Trial) -> Outcome:
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)  # the kernels are tried on the current one
    return _train(_images(images, device), trial)


def _train_on_cpu(arrays: dict[str, Any], trial: Trial) -> Outcome:
    with one_thread():
        return _train(from_arrays(arrays, torch.device("cpu")), trial)


def _train_on_gpu(arrays: dict[str, Any], trial: Trial) -> Outcome:
    """Ray shows a process the GPU that it has given to it, and no other."""
    with one_thread():
        return _train(from_arrays(arrays, torch.device("cuda")), trial)
