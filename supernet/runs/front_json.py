"""Makes front.json: the menu of a search, judged by the table next to menus that need no search."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.judged_by import judged_by, other_datasets
from supernet.benchmark.menus import Cover, best_of_each_size, random_menus
from supernet.benchmark.true_front import found_against_true
from supernet.data import ImageData
from supernet.proxies.free_scores import free_scores
from supernet.runs.genotype_json import cell_record
from supernet.search.config import SearchConfig
from supernet.search.front import PER_SIZE, front_by
from supernet.search.prior import prior_scores
from supernet.search.proposals import Proposals


def front_record(config: SearchConfig, data: ImageData, proposals: Proposals) -> dict[str, Any]:
    """The content of front.json: cells from small to large, PER_SIZE of each size.

    The prior picks them where the search follows one, else free scores: gains of one search make a
    menu worse. `found_vs_true` judges all of them by the table's values,
    `first_choices_vs_true` the first choice of each size; `compared` has menus of as many cells
    that need no search. `judge_is_in_prior` says that the judging data set took part in the choice,
    so that these numbers prove nothing.
    """
    table, (dataset, _) = proposals.table, judged_by(config.dataset, True)
    menu = front_by(proposals, proposals.menu_guide)
    first = [choice.cell for choice in menu if choice.place == 1]
    return {
        "dataset": config.dataset,
        "side": config.side,
        "val": config.val,
        "size_metric": "params",
        "picked_by": proposals.menu_guide,
        "prior_datasets": list(config.prior_datasets),
        "per_size": PER_SIZE,
        "seed": config.seed,
        "cells": [
            {
                **cell_record(choice.cell, table, data.num_classes, data.full_size),
                "place": choice.place,
                "score": choice.score,
            }
            for choice in menu
        ],
        "judged_by": dataset,
        "judge_is_in_prior": dataset in config.prior_datasets,
        "found_vs_true": found_against_true(table, [choice.cell for choice in menu], dataset),
        "first_choices_vs_true": found_against_true(table, first, dataset),
        "compared": compared(proposals, dataset, robust=config.robust),
    }


def compared(proposals: Proposals, dataset: str, *, robust: bool) -> list[dict[str, Any]]:
    """Menus of the same cells that need no search, of one cell of each size and of PER_SIZE.

    `name`: random (median of draws, with their `interval`), synflow, menu (free scores), and prior,
    made of the other data sets than the one that judges (`datasets`). `hypervolume_ratio` is that
    of their cells over the true front's.
    """
    table, found = proposals.table, []
    cover, sizes_R = Cover(table, dataset), table.costs("params", cheapest=True)
    rows = np.flatnonzero(proposals.may_be_R)
    datasets = other_datasets(dataset)
    guides: dict[str, tuple[NDArray[np.float64], dict[str, Any]]] = {
        "synflow": (free_scores().of("synflow"), {}),
        "menu": (proposals.scores["menu"], {}),
        "prior": (prior_scores(table, datasets, robust=robust), {"datasets": list(datasets)}),
    }
    for most in (1, PER_SIZE):
        drawn = random_menus(cover, sizes_R, rows, most)
        found.append({"name": "random", "per_size": most, **drawn})
        for name, (score_R, facts) in guides.items():
            chosen, _ = best_of_each_size(score_R, sizes_R, rows, most)
            ratio = cover.share(chosen)
            found.append({"name": name, "per_size": most, "hypervolume_ratio": ratio, **facts})
    return found
