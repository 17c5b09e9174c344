"""The refinement of a search in its run directory: the judge, its processes, progress, record.

refine.jsonl has every short training, a line each; a run that was stopped goes on from them.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.cells.genotype import Genotype
from supernet.cells.isomorphs import one_of_each_class
from supernet.data import ImageData
from supernet.distributed import ALONE, Ranks
from supernet.progress import Progress
from supernet.search.config import SearchConfig
from supernet.search.derive import Fits
from supernet.search.halves import Halves
from supernet.search.proposals import Proposals
from supernet.search.refine import (
    KEEP_ONE_IN,
    Round,
    Sweep,
    neighbours,
    refine,
)
from supernet.threads import available_cpus
from supernet.train.short import Outcome, Recipe
from supernet.train.side_by_side import SideBySide, Trial

LEDGER = "refine.jsonl"
AROUND = 9
"""Neighbours of a cell that are trained: half of those that it has without a budget."""
HELD_OUT = 2_000
"""Images of the alpha half that cells are judged on, or all where there are fewer."""
GPU_PROCESSES = 4
"""Trainings at a time on one GPU, whose host code leaves it idle most of the time."""


@dataclass(frozen=True)
class Refinement:
    """The refinement of one search."""

    config: SearchConfig
    images: Halves
    folder: Path
    scored: Proposals
    """All cells with their scores: they order neighbours, and give each cell its standing."""
    fits: Fits | None
    quiet: bool
    ranks: Ranks = ALONE

    def run(self, proposals: Mapping[str, Sequence[Genotype]]) -> dict[str, Any]:
        """Refine and return the content of refine.json.

        `proposals` are cells by where they come from; `trainings` counts those that the refinement
        used, whether they were made now or before.
        """
        cells = list(one_of_each_class(itertools.chain(*proposals.values())))
        standing = self.scored.standing(self.scored.guide)
        data = self.images.as_split(HELD_OUT)
        used: dict[Trial, Outcome] = {}
        planned = self._planned(len(cells))
        bar = Progress("refine", planned, "step", quiet=self.quiet)

        def done(trial: Trial, outcome: Outcome) -> None:
            bar.update(trial.recipe.steps)

        def judge(cells: Sequence[Genotype], number: int) -> list[float]:
            trials = [self._trial(cell, number) for cell in cells]
            bar.update(sum(trial.recipe.steps for trial in trials if pool.is_known(trial)))
            outcomes = pool.outcomes(trials)
            used.update(zip(trials, outcomes, strict=True))
            return [outcome.judged for outcome in outcomes]

        pool = SideBySide(
            data, self.folder / LEDGER, done=done, ranks=self.ranks,
            processes=self.config.processes or automatic_processes(data, self.ranks),
            workers=self.config.workers,
        )  # fmt: skip
        with bar, pool:
            sweeps = []
            for sweep in refine(
                cells, judge, standing=standing, around=self._around,
                rounds=len(self.config.refine_steps), moves=self.config.moves,
            ):  # fmt: skip
                sweeps.append(sweep)
                if planned and not self.quiet:
                    bar.write(sentence(sweep))
        return {
            "proposals": {name: [c.code for c in group] for name, group in proposals.items()},
            "sweeps": [_sweep_record(sweep) for sweep in sweeps],
            "answer": sweeps[-1].chosen.code,
            "trainings": len(used),
            "cpu_seconds": sum(outcome.seconds for outcome in used.values()),
        }

    def _around(self, cell: Genotype) -> list[Genotype]:
        """The AROUND neighbours with the highest scores."""
        near = neighbours(cell, allow_none=self.config.allows_none, fits=self.fits)
        return self.scored.ordered(near, self.scored.guide)[:AROUND]

    def _trial(self, cell: Genotype, number: int) -> Trial:
        config = self.config
        recipe = Recipe(
            steps=config.refine_steps[number], attack=config.refine_attack,
            balance=config.balance,
        )  # fmt: skip
        return Trial(cell.code, recipe, seed_of(config.seed, number))

    def _planned(self, proposals: int) -> int:
        """Steps of all rounds, where every sweep has all its neighbours."""
        sweeps = [AROUND + 1] * self.config.moves
        counts = [proposals, *sweeps] if proposals > 1 else sweeps
        steps = 0
        for count in counts:
            for each in self.config.refine_steps:
                steps += each * count
                count = max(1, count // KEEP_ONE_IN)
        return steps


def automatic_processes(data: ImageData, ranks: Ranks) -> int:
    """As many as there are cores for this process, or GPU_PROCESSES on a GPU. Ranks on one machine
    share its cores, and have a GPU each."""
    cores = available_cpus() // ranks.local_count
    return GPU_PROCESSES if data.train_x.is_cuda else max(1, cores)


def seed_of(seed: int, number: int) -> int:
    """The seed of all trainings of a round: cells see the same images, rounds do not."""
    return 1000 * seed + number


def sentence(sweep: Sweep) -> str:
    """What a sweep came to, in one line."""
    if sweep.start is None:
        return f"refine   starts from {sweep.chosen.code}"
    if sweep.chosen == sweep.start:
        return f"refine   stays at {sweep.start.code}: no neighbour is better"
    return f"refine   {sweep.start.code} -> {sweep.chosen.code}"


def _sweep_record(sweep: Sweep) -> dict[str, Any]:
    return {
        "start": None if sweep.start is None else sweep.start.code,
        "rounds": [_round_record(judged) for judged in sweep.rounds],
        "chosen": sweep.chosen.code,
    }


def _round_record(judged: Round) -> dict[str, Any]:
    return {
        "number": judged.number,
        "cells": [cell.code for cell in judged.cells],
        "losses": list(judged.losses),
        "scores": list(judged.scores),
    }
