"""Judges the front that a score picks: its best cell of every size. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.menus import AXES
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import scaled_hypervolume, true_front
from supernet.cells.genotype import Genotype
from supernet.cells.pareto import non_dominated
from supernet.studies.ranking.config import SUPERNET_LOSSES
from supernet.studies.ranking.sample import sample_words

DRAWS = 1000
"""Draws of one random cell per size; with a standard deviation of 0.01 their mean is exact to
0.0003."""

EVERY = "every scored cell"
CHANCE = "a random cell of each size"
BOTH = "both supernet losses, ordinary dominance"

Array = NDArray[np.float64]


def front_points(table: Table, dataset: str, cells: Sequence[Genotype]) -> Array:
    """(cells, 3): AXES of each cell, its own parameters and the table's accuracies."""
    rows = [table.row(cell) for cell in cells]
    accuracies = [table.values(dataset, column)[rows] for column in AXES[1:]]
    return np.stack([np.array([cell.params() for cell in cells]), *accuracies], axis=1)


def pick_fronts(
    table: Table,
    dataset: str,
    cells: Sequence[Genotype],
    scores: Mapping[str, Array],
    *,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """[name] -> `cells` and `hypervolume_ratio` of the cells that a score picks from these.

    A score (higher is better) picks its best cell of each number of parameters, the first of
    several alike. Next to these: all cells; the mean of random picks with their 2.5th and 97.5th
    percentile as `interval`; and, where a supernet's losses are among the scores, the cells that
    ordinary dominance over (clean loss, robust loss, parameters) leaves.
    The ratio is the hypervolume over (parameters, clean, PGD-20 8/255), by the table's values, as a
    share of the true front's.
    """
    true = true_front(table, dataset, AXES, cheapest=True)["hypervolume"]
    params = np.array([cell.params() for cell in cells])
    points = front_points(table, dataset, cells)
    sizes = [np.flatnonzero(params == size) for size in np.unique(params)]

    def worth(rows: NDArray[np.int64]) -> float:
        return scaled_hypervolume(points[rows], dataset, AXES) / true

    def record(rows: NDArray[np.int64]) -> dict[str, Any]:
        return {"cells": len(rows), "hypervolume_ratio": worth(rows)}

    random = np.random.default_rng(seed)
    chance = [worth(np.array([random.choice(same) for same in sizes])) for _ in range(DRAWS)]
    found = {
        EVERY: record(np.arange(len(cells))),
        CHANCE: {
            "cells": len(sizes),
            "hypervolume_ratio": float(np.mean(chance)),
            "interval": np.percentile(chance, (2.5, 97.5)).tolist(),
        },
    }
    if set(SUPERNET_LOSSES) <= set(scores):
        losses = np.stack([-scores[name] for name in SUPERNET_LOSSES], axis=1)
        kept = non_dominated(np.column_stack([losses, params]), (False, False, False))
        found[BOTH] = record(np.flatnonzero(kept))
    for name, score in scores.items():
        # Parameters are alike within a size: that pick would be the first drawn.
        if any(np.ptp(score[same]) > 0 for same in sizes):
            found[name] = record(np.array([same[score[same].argmax()] for same in sizes]))
    return found


def markdown(fronts: Mapping[str, Mapping[str, Any]], cells: int) -> list[str]:
    """The fronts as lines of a table, best hypervolume first."""
    order = sorted(fronts, key=lambda name: -fronts[name]["hypervolume_ratio"])
    lines = ["", "## Fronts picked from these cells", "", "| picked by | cells | hypervolume |"]
    lines += ["|---|---|---|"]
    lines += [f"| {name} | {fronts[name]['cells']} | {_share(fronts[name])} |" for name in order]
    return [
        *lines,
        "",
        "A score picks its best cell of each number of parameters; of random picks, the mean and "
        "in brackets the 2.5th and 97.5th percentile. Hypervolume over (parameters, "
        f"clean, PGD-20 8/255) by the benchmark's values, of {sample_words(cells)}, as a share of "
        "the true front's.",
    ]


def _share(front: Mapping[str, Any]) -> str:
    low, high = front.get("interval", (None, None))
    spread = "" if low is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * front['hypervolume_ratio']:.1f} %{spread}"
