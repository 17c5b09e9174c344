"""Compares the state in a checkpoint with a fresh job's before the job continues from it."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from supernet.distributed import Ranks
from supernet.errors import UserError
from supernet.randomness import Randomness, processes_of

_OF_OPTIMISERS = {"momentum_buffer", "step", "exp_avg", "exp_avg_sq"}
"""What SGD and Adam remember of a parameter."""


class Resumable(Protocol):
    """A search or a training."""

    step: int
    ranks: Ranks
    random: Randomness

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""

    @property
    def optimisers(self) -> tuple[Optimizer, ...]:
        """All that move a parameter."""

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


class _Misfit(Exception):
    """Names a value that the job cannot continue from."""


def load_state(
    job: Resumable, state: dict[str, Any], folder: Path, *, goes_on: bool = True
) -> None:
    """Continue a fresh job where the checkpoint of the run in `folder` was taken.

    Names, types, shapes and ranges must be those of the job's own state. A learning rate schedule
    may lack values, or have others, where another version of torch wrote it: the job's own stay.
    Another number of processes than wrote it may go on; a warning says what follows from that,
    unless no step follows (`goes_on`).

    Raises: UserError naming the first value that does not fit; the job is of no use then.
    """
    try:
        state = _like(_for_this_many(state, job, folder, goes_on), job.state_dict(), "state")
        if not 0 <= state["step"] <= job.total_steps:
            raise _Misfit(f"step is {state['step']} of {job.total_steps}")
        for schedule in _schedules(state):
            if schedule["last_epoch"] != state["step"]:
                raise _Misfit(f"a schedule is at step {schedule['last_epoch']}")
        job.load_state_dict(state)
        for optimiser in job.optimisers:
            _check_optimiser(optimiser)
    except (_Misfit, RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"the checkpoint in {folder} does not fit its run ({reason}); put the run's own "
            "checkpoint in its place, or start a new run"
        ) from error


def _for_this_many(
    state: dict[str, Any], job: Resumable, folder: Path, goes_on: bool
) -> dict[str, Any]:
    """The state for the processes that there are now."""
    random, step = state.get("random"), state.get("step")
    if not isinstance(random, dict) or not isinstance(random.get("others", ()), list | tuple):
        return state  # refused by whoever reads it
    before, now = processes_of(random), job.ranks.count
    if before == now or not isinstance(step, int) or step < 0:
        return state
    if goes_on and job.ranks.first:
        print(
            f"warning: {folder} was left by {_processes(before)} and goes on with {now}: weights, "
            "alpha, optimisers, the order of the images and the images of a step stay; sums are "
            "rounded in another order, augmentation and attacks draw other numbers, and without "
            "--sync-batch-norm batch norm sees other batches. Bit for bit it goes on with "
            f"{_processes(before)} alone",
            file=sys.stderr,
        )
    return {**state, "random": job.random.for_this_many(random, step)}


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _like(found: Any, fresh: Any, where: str) -> Any:
    """`found`, if it is like `fresh`."""
    if isinstance(fresh, Tensor):
        _check_tensor(found, fresh, where)
    elif isinstance(fresh, dict):
        if not isinstance(found, dict):
            raise _Misfit(f"{where} is not a dictionary")
        return _like_dictionary(found, fresh, where)
    elif isinstance(fresh, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(fresh):
            raise _Misfit(f"{where} is not a list of {len(fresh)} values")
        pairs = enumerate(zip(found, fresh, strict=True))
        return type(fresh)(_like(one, other, f"{where}.{n}") for n, (one, other) in pairs)
    elif isinstance(fresh, float):
        if type(found) not in (int, float) or not math.isfinite(found):
            raise _Misfit(f"{where} is not a finite number")
    elif fresh is None and where.endswith(".order"):  # of an epoch, which is drawn at its start
        if found is not None and not isinstance(found, Tensor):
            raise _Misfit(f"{where} is not a tensor")
    elif type(found) is not type(fresh):
        raise _Misfit(f"{where} is not of type {type(fresh).__name__}")
    return found


def _like_dictionary(found: dict[Any, Any], fresh: dict[Any, Any], where: str) -> dict[Any, Any]:
    if where == "state.totals":  # empty at the start of an epoch
        return _totals(found, where)
    if set(fresh) == {"state", "param_groups"}:  # of an optimiser, whose state is empty at first
        groups = _like(found.get("param_groups"), fresh["param_groups"], f"{where}.param_groups")
        return {"state": _remembered(found.get("state"), f"{where}.state"), "param_groups": groups}
    others = set(found) ^ set(fresh)
    if others and "last_epoch" not in fresh and "params" not in fresh:
        raise _Misfit(f"{where} has or lacks {', '.join(sorted(map(str, others)))[:100]}")
    kept = {name: _like(found.get(name, value), value, f"{where}.{name}")
            for name, value in fresh.items()}  # fmt: skip
    if kept.get("params") != fresh.get("params"):
        raise _Misfit(f"{where}.params are of another network")
    return kept


def _check_tensor(found: Any, fresh: Tensor, where: str) -> None:
    if not isinstance(found, Tensor) or found.layout != torch.strided:
        raise _Misfit(f"{where} is not a tensor")
    if found.shape != fresh.shape or found.dtype != fresh.dtype:
        raise _Misfit(
            f"{where} is {tuple(found.shape)} {found.dtype}, not {tuple(fresh.shape)} {fresh.dtype}"
        )
    if found.is_floating_point() and not bool(found.isfinite().all()):
        raise _Misfit(f"{where} is not finite")


def _totals(found: dict[Any, Any], where: str) -> dict[Any, Any]:
    for name, value in found.items():
        if not isinstance(name, str):
            raise _Misfit(f"{where} has a name that is not text")
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise _Misfit(f"{where}.{name} is not a tensor of numbers")
        _check_tensor(value, value.new_zeros(()), f"{where}.{name}")
    return found


def _remembered(found: Any, where: str) -> Any:
    if not isinstance(found, dict):
        raise _Misfit(f"{where} is not a dictionary")
    for number, values in found.items():
        if not isinstance(number, int) or not isinstance(values, dict):
            raise _Misfit(f"{where} is not of parameters by number")
        if not set(values) <= _OF_OPTIMISERS:
            raise _Misfit(f"{where}.{number} has what no optimiser here remembers")
    return found


def _schedules(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    for value in values.values():
        if isinstance(value, dict):
            if "last_epoch" in value:
                yield value
            yield from _schedules(value)


def _check_optimiser(optimiser: Optimizer) -> None:
    known = {id(p) for group in optimiser.param_groups for p in group["params"]}
    for parameter, values in optimiser.state.items():
        if id(parameter) not in known:
            raise _Misfit("an optimiser remembers a parameter that the network lacks")
        for name, value in values.items():
            if value is None and name == "momentum_buffer":
                continue
            like = torch.zeros(()) if name == "step" else parameter
            _check_tensor(value, like, f"{name} of a parameter")
