"""Trains the finalists of a search alone, attacks them, and writes finalists.json.

Every finished training is a line of finalists.jsonl: a run that was killed goes on from there.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset
from supernet.files import write_json
from supernet.progress import Progress
from supernet.runs.genotype_json import cell_record
from supernet.runs.refinement import automatic_processes
from supernet.search.config import SearchConfig
from supernet.search.search import Search
from supernet.train.short import Outcome, Recipe
from supernet.train.side_by_side import SideBySide, Trial

LEDGER, RESULT = "finalists.jsonl", "finalists.json"
SEEDS = (901, 902, 903)
"""Of the trainings of each cell: none that a refinement has, so that no luck is shared with it."""
HELD_OUT = 1_000
"""Images that finalists are measured on, or all where there are fewer."""
NETWORK = {"C": 16, "N": 5}
"""The benchmark's network: in shallower ones cells that train badly at full depth look good."""


def write_finalists(
    folder: Path, search: Search, candidates: Mapping[str, Genotype], table: Table, *, quiet: bool
) -> dict[str, Any]:
    """Train the candidates of a search, write finalists.json in the folder, and return its content.

    candidates: name -> cell, the answer first. Isomorphic ones are trained once.
    Raises: UserError when the images are fewer than needed, or when a process was killed.
    """
    config = search.config
    images, split = finalist_images(search)
    recipe = recipe_of(config)
    classes = grouped(candidates)
    pool = SideBySide(
        images, folder / LEDGER, ranks=search.ranks,
        processes=config.processes or automatic_processes(images, search.ranks),
        workers=config.workers,
    )  # fmt: skip
    outcomes = _outcomes(pool, recipe, [cell for _, cell in classes], quiet)
    record = {
        "dataset": config.dataset,
        "side": config.side,
        "val": config.val,
        "images": {
            **images.facts(), "held_out_images": len(images.test_y), "held_out_from": split,
        },
        "eps": search.eps if config.robust else None,
        "recipe": dataclasses.asdict(recipe),
        "seeds": list(SEEDS),
        "cells": [
            {
                "names": names,
                **cell_record(cell, table, images.num_classes, images.full_size),
                **_accuracies(found),
            }
            for (names, cell), found in zip(classes, outcomes, strict=True)
        ],
        "judged_by": list(judged_by(config.dataset, config.robust)),
        "seconds": sum(outcome.seconds for found in outcomes for outcome in found),
    }  # fmt: skip
    if search.ranks.first:
        write_json(folder / RESULT, record)
    return record


def recipe_of(config: SearchConfig) -> Recipe:
    """The one recipe of all finalists: the search's own attack, none in a clean search, and PGD-20
    as in an evaluation, on the images that are right as they are."""
    return Recipe(
        steps=config.finalist_steps, attack=config.attack if config.robust else "none",
        attack_steps=config.attack_steps, pgd_steps=20, attack_all=False,
        C=NETWORK["C"], N=NETWORK["N"], balance=config.balance,
    )  # fmt: skip


def finalist_images(search: Search) -> tuple[ImageData, str]:
    """The images of the finalists as train and test, and what the latter are: test or alpha half.

    Test images chose nothing, so all training images may be learnt from. Where there are none, the
    cells learn from the weight half and are measured on the alpha half, which the answer was
    chosen by.
    """
    config = search.config
    test = load_dataset(
        config.dataset, data_root=config.data_root, limit=0, test_limit=HELD_OUT, side=config.side,
        val=config.val, device=search.device,
    ).shrink(config.shrink)  # fmt: skip
    if len(test.test_y):
        images = dataclasses.replace(search.data, test_x=test.test_x, test_y=test.test_y)
        return dataclasses.replace(images, eps=search.eps), "test"
    return dataclasses.replace(search.images.as_split(HELD_OUT), eps=search.eps), "alpha half"


def grouped(candidates: Mapping[str, Genotype]) -> list[tuple[list[str], Genotype]]:
    """One entry for every isomorphism class: all its names, and its first cell."""
    found: dict[str, tuple[list[str], Genotype]] = {}
    for name, cell in candidates.items():
        found.setdefault(cell.canonical, ([], cell))[0].append(name)
    return list(found.values())


def _outcomes(
    pool: SideBySide, recipe: Recipe, cells: Sequence[Genotype], quiet: bool
) -> list[list[Outcome]]:
    """The outcomes of each cell by seed."""
    trials = [Trial(cell.code, recipe, seed) for cell in cells for seed in SEEDS]
    if not quiet:
        print(f"finalists  {len(cells)} cells, {len(SEEDS)} trainings each", flush=True)
    known = sum(map(pool.is_known, trials))
    bar = Progress("finalists", len(trials), "training", initial=known, quiet=quiet)

    def count(trial: Trial, outcome: Outcome) -> None:
        bar.update()

    pool.done = count
    with bar, pool:
        found = pool.outcomes(trials)
    return [found[first : first + len(SEEDS)] for first in range(0, len(found), len(SEEDS))]


def _accuracies(found: Sequence[Outcome]) -> dict[str, list[float] | None]:
    """clean and robust, by seed; robust is None after clean trainings."""
    robust = [outcome.robust_acc for outcome in found if outcome.robust_acc is not None]
    return {"clean": [outcome.acc for outcome in found], "robust": robust or None}
