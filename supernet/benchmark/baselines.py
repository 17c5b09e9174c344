"""What searches on the table reach with a budget, over many seeds: means, spread, confidence bands.

Legend: S seeds, B queries.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.order_statistics import expected_best_of
from supernet.benchmark.searches import (
    SEARCHES,
    Count,
    Landscape,
    Settings,
    cell_numbers,
    search_curve,
)
from supernet.benchmark.table import COSTS, Table, check_name
from supernet.benchmark.true_front import (
    check_objectives,
    maximised,
    reference_point,
    scaled_hypervolume,
)
from supernet.errors import UserError

METHODS = (*SEARCHES, "nsga2")
CONFIDENCE = 1.96
"""Standard errors either side of a mean: a 95 % interval."""
HYPERVOLUME_EVERY = 10
"""Queries between two points of a hypervolume curve."""

Progress = Callable[[str, int, int], None]
"""Called with (method, seeds done, seeds in all)."""


def single_objective(
    table: Table,
    dataset: str,
    column: str,
    *,
    methods: Sequence[str] = tuple(SEARCHES),
    queries: int = 300,
    seeds: int = 200,
    count: Count = "evaluations",
    settings: Settings | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Best accuracy found against number of queries, over seeds 0..seeds-1.

    For each method `mean`, `sd` (of single runs), `ci_low` and `ci_high` (95 % interval of the
    mean) and the deciles `p10` and `p90` of the runs, each a list over 1..queries; next to them the
    expected best of n random strings in closed form.

    Units:  fractions.
    Raises: UserError for an unknown method, or a budget or number of seeds below its least.
    """
    settings = settings or Settings()
    check_name("metric", column, table.columns)
    check_budget(queries, seeds, settings)
    landscape = Landscape.of(table, dataset, column)
    results = {}
    for method in methods:
        check_name("method", method, tuple(SEARCHES))
        runs = []
        for seed in range(seeds):
            progress(method, seed, seeds)
            curve = search_curve(
                method, landscape, queries=queries, seed=seed, count=count, settings=settings
            )
            runs.append(curve)
        results[method] = summary(np.array(runs))
    expected = [expected_best_of(table, n, dataset, column) for n in range(1, queries + 1)]
    return {
        "dataset": dataset,
        "metric": column,
        "queries": queries,
        "seeds": seeds,
        "count": count,
        "settings": vars(settings),
        "methods": results,
        "expected_best_of_random": expected,
        "best": float(table.values(dataset, column).max()),
    }


def multi_objective(
    table: Table,
    dataset: str,
    objectives: Sequence[str],
    *,
    methods: Sequence[str] = ("random", "nsga2"),
    queries: int = 300,
    seeds: int = 200,
    settings: Settings | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Hypervolume of what NSGA-II (and random search) looked up against number of queries.

    As `single_objective`, at every tenth query; hypervolumes as shares of the true front's. Costs
    are those of the strings that were looked up, so the true front is that of the cheapest members.
    """
    settings = settings or Settings()
    check_objectives(objectives, table.columns)
    check_budget(queries, seeds, settings)
    points = _points_by_number(table, dataset, objectives)
    classes = table.classes
    total = scaled_hypervolume(points, dataset, objectives, classes)
    at = list(range(HYPERVOLUME_EVERY, queries, HYPERVOLUME_EVERY)) + [queries]
    results = {}
    for method in methods:
        runs = []
        for seed in range(seeds):
            progress(method, seed, seeds)
            cells = _lookups(method, points, objectives, queries, seed, settings)
            found = (points[cells[:n]] for n in at)
            volumes = [scaled_hypervolume(p, dataset, objectives, classes) for p in found]
            runs.append([volume / total for volume in volumes])
        results[method] = summary(np.array(runs))
    return {
        "dataset": dataset,
        "objectives": list(objectives),
        "reference_point": reference_point(dataset, objectives, classes),
        "true_hypervolume": total,
        "queries": at,
        "seeds": seeds,
        "settings": vars(settings),
        "methods": results,
    }


def summary(runs_SB: NDArray[np.float64]) -> dict[str, list[float]]:
    """Mean, sample standard deviation, 95 % interval of the mean and deciles, over the seeds."""
    seeds = len(runs_SB)
    mean = runs_SB.mean(axis=0)
    sd = runs_SB.std(axis=0, ddof=1) if seeds > 1 else np.zeros_like(mean)
    half = CONFIDENCE * sd / math.sqrt(seeds)
    p10, p90 = np.quantile(runs_SB, [0.1, 0.9], axis=0)
    bands = {"mean": mean, "sd": sd, "ci_low": mean - half, "ci_high": mean + half}
    # Six digits are a hundred times finer than any standard error, and halve the JSON.
    every = {**bands, "p10": p10, "p90": p90}
    return {name: np.round(band, 6).tolist() for name, band in every.items()}


def check_budget(queries: int, seeds: int, settings: Settings) -> None:
    """Raise a UserError for numbers that leave nothing to do."""
    if queries < 1 or seeds < 1:
        raise UserError(f"--queries ({queries}) and --seeds ({seeds}) must be at least 1")
    if not 1 <= settings.tournament <= settings.population or settings.population < 2:
        raise UserError(
            f"--tournament ({settings.tournament}) must lie between 1 and --population "
            f"({settings.population}, at least 2)"
        )
    if settings.starts < 1:
        raise UserError(f"--starts ({settings.starts}) must be at least 1")


def _points_by_number(table: Table, dataset: str, objectives: Sequence[str]) -> NDArray[np.float64]:
    """(15625, M) the objectives of every string, by cell number."""
    order = np.argsort(cell_numbers(table))
    columns = [
        table.costs_of_all(name) if name in COSTS else table.values(dataset, name)[table.row_of]
        for name in objectives
    ]
    return np.stack(columns, axis=1)[order].astype(np.float64)


def _lookups(
    method: str,
    points: NDArray[np.float64],
    objectives: Sequence[str],
    queries: int,
    seed: int,
    settings: Settings,
) -> list[int]:
    check_name("method", method, ("random", "nsga2"))
    if method == "random":
        return np.random.default_rng(seed).integers(0, len(points), queries).tolist()
    from supernet.benchmark.nsga2 import nsga2_lookups

    costs = np.where(maximised(objectives), -points, points)
    return nsga2_lookups(costs, queries=queries, seed=seed, population=settings.population)
