"""The true Pareto front of the table for two or three objectives, with its hypervolume.

Legend: R evaluated cells, M objectives.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ops.space import CONV3
from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import CLASSES, COLUMNS, COSTS, Table, check_name
from supernet.cells.genotype import Genotype
from supernet.cells.pareto import generational_distance, hypervolume, non_dominated
from supernet.errors import UserError

REFERENCE_MARGIN = 1.1
"""The reference point's cost, in units of the largest cell's: at 1 the largest cell itself would
add nothing."""


def check_objectives(objectives: Sequence[str], columns: Sequence[str] = COLUMNS) -> None:
    """Raise a UserError unless these are two or three different columns."""
    for name in objectives:
        check_name("objective", name, (*columns, *COSTS))
    if len(objectives) not in (2, 3) or len(set(objectives)) < len(objectives):
        raise UserError(
            f"a front needs two or three different objectives, not '{','.join(objectives)}'; "
            f"for instance --objectives clean,{columns[-1]},params"
        )


def maximised(objectives: Sequence[str]) -> list[bool]:
    """Accuracies are to be maximised, costs to be minimised."""
    return [name not in COSTS for name in objectives]


def objective_points(
    table: Table, dataset: str, objectives: Sequence[str], *, cheapest: bool = False
) -> NDArray[np.float64]:
    """(R, M) the objectives of every evaluated cell, in natural units.

    Costs are those of the evaluated member of each class, or with `cheapest` of its cheapest.
    """
    columns = [
        table.costs(name, cheapest=cheapest) if name in COSTS else table.values(dataset, name)
        for name in objectives
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def reference_point(
    dataset: str, objectives: Sequence[str], classes: Mapping[str, int] = CLASSES
) -> dict[str, float]:
    """The corner that a cell must beat: guessing's accuracy, and 1.1 times the largest cell's cost.

    A classifier that guesses has accuracy 1/classes; what lies below it is worth nothing, so it
    should not fill the volume.
    """
    return {
        name: REFERENCE_MARGIN * _scale(name) if name in COSTS else 1 / classes[dataset]
        for name in objectives
    }


def scaled_hypervolume(
    points_NM: ArrayLike,
    dataset: str,
    objectives: Sequence[str],
    classes: Mapping[str, int] = CLASSES,
) -> float:
    """Hypervolume of points in natural units, with costs in units of the largest cell's (all-3x3).

    So it has no unit; two fronts of one data set and the same objectives compare by their ratio.
    """
    scale = np.array([_scale(name) for name in objectives])
    reference = np.array(list(reference_point(dataset, objectives, classes).values()))
    points = np.asarray(points_NM, dtype=np.float64).reshape(-1, len(objectives))
    return hypervolume(points / scale, reference / scale, maximised(objectives))


def true_front(
    table: Table, dataset: str, objectives: Sequence[str], *, cheapest: bool = False
) -> dict[str, Any]:
    """The cells that no other cell dominates: what `benchmark.py front --json` prints.

    `cells`, best first by the first objective, as in `query_cell` with their `objectives`;
    `hypervolume` with its `reference_point` and the `scale` that divides costs.

    Raises: UserError for an unknown data set or objective.
    """
    check_objectives(objectives, table.columns)
    check_name("data set", dataset, table.datasets)
    points = objective_points(table, dataset, objectives, cheapest=cheapest)
    rows = np.flatnonzero(non_dominated(points, maximised(objectives)))
    signs = np.where(maximised(objectives), -1.0, 1.0)
    # Best first by the first objective, then by the next ones.
    rows = rows[np.lexsort((signs * points[rows]).T[::-1])]
    indices = table.cheapest_members[rows] if cheapest else np.array(table.unique)[rows]
    cells = [
        {
            **query_cell(table, table.order.genotype(int(index))),
            "objectives": dict(zip(objectives, points[row].tolist(), strict=True)),
        }
        for index, row in zip(indices, rows, strict=True)
    ]
    return {
        "dataset": dataset,
        "objectives": list(objectives),
        "cheapest": cheapest,
        "cells": cells,
        "hypervolume": scaled_hypervolume(points[rows], dataset, objectives, table.classes),
        "reference_point": reference_point(dataset, objectives, table.classes),
        "scale": {name: _scale(name) for name in objectives},
    }


BUDGETS = {"params": (0.2e6, 0.4e6, 0.6e6, 0.8e6, 1.2e6), "flops": (30e6, 60e6, 90e6, 120e6, 180e6)}
"""Sizes at which a found front is compared with the best cell of the table."""


def found_against_true(
    table: Table, found: Sequence[Genotype], dataset: str, size_metric: str = "params"
) -> dict[str, Any]:
    """How much of the table's front over (size, clean, PGD-20 8/255) found cells reach.

    By the TABLE's values of the found cells, whatever they were found by, and the front of cheapest
    members, since a found cell has its own cost:
    `hypervolume_ratio`, theirs over the true one's; `generational_distance` from the found cells to
    the true front, `inverted_generational_distance` from there to them, both in units of the true
    front's range; `regret` by budget, the table's best PGD accuracy within it less theirs, null
    where no found cell is within it. `cells`, how many there are; `truly_non_dominated`, how many
    lie on the true front.
    """
    objectives = (size_metric, "clean", "pgd_8")
    true = true_front(table, dataset, objectives, cheapest=True)
    true_points = np.array([[c["objectives"][name] for name in objectives] for c in true["cells"]])
    entries = [query_cell(table, cell) for cell in found]
    points = np.array(
        [[e[size_metric], *(e["results"][dataset][c] for c in objectives[1:])] for e in entries]
    )
    spread = np.ptp(true_points, axis=0)
    ours = scaled_hypervolume(points, dataset, objectives)
    robust, costs = table.values(dataset, "pgd_8"), table.costs(size_metric, cheapest=True)
    regret = {}
    for budget in BUDGETS[size_metric]:
        within = points[points[:, 0] <= budget, 2]
        best = float(robust[costs <= budget].max())
        regret[f"{budget:.0f}"] = best - float(within.max()) if len(within) else None
    return {
        "cells": len(points),
        "truly_non_dominated": int((points[:, None] == true_points).all(axis=2).any(axis=1).sum()),
        "hypervolume": ours,
        "hypervolume_ratio": ours / true["hypervolume"],
        "generational_distance": generational_distance(points, true_points, spread),
        "inverted_generational_distance": generational_distance(true_points, points, spread),
        "regret": regret,
    }


def _scale(objective: str) -> float:
    """1 for accuracies; the largest cell's cost for costs."""
    largest = Genotype((CONV3,) * 6)
    if objective == "params":
        return float(largest.params())
    return float(largest.flops()) if objective == "flops" else 1.0
