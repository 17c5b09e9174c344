"""The refinement of a search's proposals in its run directory: judge, progress, record.

refine.jsonl has every short training, a line each; a run that was stopped goes on from them.
"""

import bisect
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.files import read_jsonl
from supernet.search.config import SearchConfig
from supernet.search.derive import Fits, connected_cells
from supernet.search.halves import Halves, spaced
from supernet.search.refine import (
    KEEP_ONE_IN,
    Round,
    Standing,
    Sweep,
    neighbours,
    refine,
)
from supernet.train.short import Outcome, Recipe
from supernet.train.side_by_side import SideBySide, Trial

LEDGER = "refine.jsonl"
NEIGHBOURS = 18
"""Cells that differ from a cell without `none` on one edge, for the length of the progress bar."""
HELD_OUT = 2_000
"""Images of the alpha half that cells are judged on, or all where there are fewer."""
GPU_PROCESSES = 4
"""Trainings at a time on one GPU, whose host code leaves it idle most of the time."""


def refined(
    config: SearchConfig,
    images: Halves,
    proposals: Mapping[str, Genotype],
    folder: Path,
    *,
    fits: Fits | None,
    quiet: bool,
) -> list[Sweep]:
    """`refine` with short trainings as its judge, in processes, with a progress bar."""
    data = judge_images(images)
    bar = tqdm(
        total=_planned(len(proposals), config), unit="step", dynamic_ncols=True, desc="refine",
        disable=True if quiet else None,
    )  # fmt: skip

    def done(trial: Trial, outcome: Outcome) -> None:
        bar.update(trial.recipe.steps)

    processes = config.processes or automatic_processes(data)
    with bar, SideBySide(data, folder / LEDGER, processes=processes, done=done) as pool:

        def judge(cells: Sequence[Genotype], number: int) -> list[float]:
            recipe = Recipe(steps=config.refine_steps[number], attack=config.refine_attack)
            trials = [Trial(cell.code, recipe, seed_of(config.seed, number)) for cell in cells]
            bar.update(sum(recipe.steps for trial in trials if pool.is_known(trial)))
            return [_loss(outcome) for outcome in pool.outcomes(trials)]

        sweeps = refine(
            list(proposals.values()), judge, standing=share_of_smaller(config.derive_none, fits),
            around=functools.partial(neighbours, allow_none=config.derive_none, fits=fits),
            rounds=len(config.refine_steps), moves=config.refine_moves,
        )  # fmt: skip
        found = []
        for sweep in sweeps:
            found.append(sweep)
            if not quiet:
                bar.write(sentence(sweep))
        return found


def judge_images(images: Halves) -> ImageData:
    """The weight half to learn from, and held-out images of the alpha half as test images."""
    data = images.data
    learned = images.weight_half.to(data.train_x.device)
    held_out = spaced(images.alpha_half, HELD_OUT).to(data.train_x.device)
    return dataclasses.replace(
        data, train_x=data.train_x[learned], train_y=data.train_y[learned],
        test_x=data.train_x[held_out], test_y=data.train_y[held_out],
    )  # fmt: skip


def automatic_processes(data: ImageData) -> int:
    """As many as there are cores for this process, or GPU_PROCESSES on a GPU."""
    return GPU_PROCESSES if data.train_x.is_cuda else len(os.sched_getaffinity(0))


def seed_of(seed: int, number: int) -> int:
    """The seed of all trainings of a round: cells see the same images, rounds do not."""
    return 1000 * seed + number


def share_of_smaller(allow_none: bool, fits: Fits | None) -> Standing:
    """cell -> share of the cells that may be the answer with fewer parameters."""
    sizes = sorted(
        cell.params() for cell in connected_cells(allow_none)[0] if fits is None or fits(cell)
    )
    return lambda cell: bisect.bisect_left(sizes, cell.params()) / len(sizes)


def sentence(sweep: Sweep) -> str:
    """What a sweep came to, in one line."""
    if sweep.start is None:
        return f"refine   starts from {sweep.chosen.code}"
    if sweep.chosen == sweep.start:
        return f"refine   stays at {sweep.start.code}: no neighbour is better"
    return f"refine   {sweep.start.code} -> {sweep.chosen.code}"


def refinement_record(
    sweeps: Sequence[Sweep], proposals: Mapping[str, Genotype], ledger: Path
) -> dict[str, Any]:
    """The content of refine.json: proposals, and of each round the cells, losses and scores."""
    lines = read_jsonl(ledger)
    return {
        "proposals": {name: cell.code for name, cell in proposals.items()},
        "sweeps": [
            {
                "start": None if sweep.start is None else sweep.start.code,
                "rounds": [_round_record(judged) for judged in sweep.rounds],
                "chosen": sweep.chosen.code,
            }
            for sweep in sweeps
        ],
        "trainings": len(lines),
        "cpu_seconds": sum(line["outcome"]["seconds"] for line in lines),
    }


def _round_record(judged: Round) -> dict[str, Any]:
    return {
        "number": judged.number,
        "cells": [cell.code for cell in judged.cells],
        "losses": list(judged.losses),
        "scores": list(judged.scores),
    }


def _loss(outcome: Outcome) -> float:
    return outcome.loss if outcome.robust_loss is None else outcome.robust_loss


def _planned(proposals: int, config: SearchConfig) -> int:
    """Steps of all rounds where every sweep has as many neighbours as the space has."""
    cells, steps = NEIGHBOURS, 0
    for number, each in enumerate(config.refine_steps):
        steps += each * (cells + (number == len(config.refine_steps) - 1))
        cells = max(1, cells // KEEP_ONE_IN)
    started = proposals * config.refine_steps[-1] if proposals > 1 else 0
    return started + config.refine_moves * steps
