"""Statistics of the table: spread, rank correlation, operators of good and bad cells, replacements.

Legend: R evaluated cells, E edges, O operators. Every function returns plain lists and dicts, ready
for JSON; accuracies are fractions.
Source: the statistics of Wu et al. 2024, arXiv:2403.13134, section 3, and what they leave open: how
well a ranking holds inside the top region, where cells are chosen.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ops.space import EDGES, NUM_EDGES, NUM_OPS, OP_NAMES
from supernet.benchmark.searches import cell_numbers
from supernet.benchmark.table import Table

SHARES = {"all": 1.0, "top_10": 0.1, "top_1": 0.01}
"""Regions of a ranking. A share of 6,466 cells is rounded: 647 and 65."""

Coefficient = Literal["spearman", "kendall"]


def best_rows(values_R: NDArray[np.float64], share: float, *, worst: bool = False) -> NDArray[Any]:
    """Rows of the best (or worst) share of cells, best (worst) first; ties by row."""
    keys = values_R if worst else -values_R
    return np.argsort(keys, kind="stable")[: max(1, round(share * len(values_R)))]


def box_statistics(table: Table) -> dict[str, dict[str, dict[str, float]]]:
    """[data set][column]: minimum, quartiles, maximum, mean, whiskers and `chance`.

    A whisker ends at the last cell within 1.5 interquartile ranges of the box (Tukey).
    """
    return {
        d: {c: {**_box(table.values(d, c)), "chance": 1 / table.classes[d]} for c in table.columns}
        for d in table.datasets
    }


def _box(values: NDArray[np.float64]) -> dict[str, float]:
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    inside = values[(values >= q1 - 1.5 * (q3 - q1)) & (values <= q3 + 1.5 * (q3 - q1))]
    return {
        "min": float(values.min()),
        "whisker_low": float(inside.min()),
        "q1": float(q1),
        "median": float(median),
        "q3": float(q3),
        "whisker_high": float(inside.max()),
        "max": float(values.max()),
        "mean": float(values.mean()),
    }


def correlation(
    x_R: NDArray[np.float64], y_R: NDArray[np.float64], coefficient: Coefficient
) -> float | None:
    """Spearman's rho or Kendall's tau-b; None where one side is constant, or for fewer than two."""
    if len(x_R) < 2 or np.ptp(x_R) == 0 or np.ptp(y_R) == 0:
        return None
    from scipy import stats

    if coefficient == "spearman":
        return float(stats.spearmanr(x_R, y_R).statistic)
    return float(stats.kendalltau(x_R, y_R).statistic)


def correlation_matrix(
    columns: Sequence[NDArray[np.float64]], share: float, coefficient: Coefficient
) -> list[list[float | None]]:
    """Entry (i, j): correlation of columns i and j among the best `share` of cells BY COLUMN i.

    For share 1 it is symmetric. Below that it is not, and should not be: the question is how well
    j orders the cells that i finds good.
    """
    matrix: list[list[float | None]] = []
    for x in columns:
        rows = best_rows(x, share)
        matrix.append([correlation(x[rows], y[rows], coefficient) for y in columns])
    return matrix


def rank_correlations(table: Table) -> dict[str, Any]:
    """Spearman and Kendall between data sets (per column) and between columns (per data set).

    between_datasets[column][coefficient][region] and between_columns[data set][coefficient][region]
    are matrices as in `correlation_matrix`; regions are all, top_10, top_1 (percent). The columns
    are joined by `params`, counted as if more were better: the row to beat.
    """
    names = [*table.columns, "params"]

    def every_region(columns: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
        return {
            kind: {
                region: correlation_matrix(columns, share, kind) for region, share in SHARES.items()
            }
            for kind in ("spearman", "kendall")
        }

    return {
        "datasets": list(table.datasets),
        "columns": names,
        "between_datasets": {
            c: every_region([table.values(d, c) for d in table.datasets]) for c in table.columns
        },
        "between_columns": {
            d: every_region([table.values(d, c) for c in names]) for d in table.datasets
        },
    }


def operator_shares(table: Table, dataset: str, column: str) -> dict[str, Any]:
    """How often each operator sits on each edge among the best and the worst cells.

    `regions[region]` is an E x O matrix whose rows sum to 1 (`edges` and `operators` name its
    axes) and `overall[region]` its mean over edges. Evaluated cells only, each counted once.
    """
    digits = table.digits[table.unique]
    values = table.values(dataset, column)
    regions = {"all": np.arange(table.size)}
    for name, share in (("1", 0.01), ("10", 0.1)):
        regions[f"best_{name}"] = best_rows(values, share)
        regions[f"worst_{name}"] = best_rows(values, share, worst=True)
    shares = {name: _shares(digits[rows]) for name, rows in regions.items()}
    return {
        "dataset": dataset,
        "metric": column,
        "edges": [list(edge) for edge in EDGES],
        "operators": list(OP_NAMES),
        "cells": {name: len(rows) for name, rows in regions.items()},
        "regions": {name: share.tolist() for name, share in shares.items()},
        "overall": {name: share.mean(axis=0).tolist() for name, share in shares.items()},
    }


def _shares(digits_RE: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.stack([(digits_RE == op).mean(axis=0) for op in range(NUM_OPS)], axis=1)


def replacement_effects(table: Table, dataset: str, column: str) -> dict[str, Any]:
    """The change in accuracy when one operator replaces another on an edge, over all strings.

    For edge e and operators a, b: over the 5^5 = 3,125 settings of the other edges,
    mean[e][a][b] = mean of value(e carries b) - value(e carries a), `sd` its standard deviation,
    and better[e][a][b] the share of settings in which b is strictly better.

    Shapes:  (E, O, O) each. mean is antisymmetric; the diagonals are 0.
    Units:   fractions.
    Raises:  UserError where cells are missing.
    """
    table.require_whole("what replacing an operator changes is a mean over")
    by_number = table.values(dataset, column)[table.row_of[np.argsort(cell_numbers(table))]]
    cube = by_number.reshape((NUM_OPS,) * NUM_EDGES)
    effects = [_effects_of_edge(np.moveaxis(cube, edge, 0)) for edge in range(NUM_EDGES)]
    return {
        "dataset": dataset,
        "metric": column,
        "edges": [list(edge) for edge in EDGES],
        "operators": list(OP_NAMES),
        "settings": NUM_OPS ** (NUM_EDGES - 1),
        **{name: [effect[name] for effect in effects] for name in ("mean", "sd", "better")},
    }


def _effects_of_edge(cube: NDArray[np.float64]) -> dict[str, Any]:
    by_op = cube.reshape(NUM_OPS, -1)
    change = by_op[None, :, :] - by_op[:, None, :]
    return {
        "mean": change.mean(axis=2).tolist(),
        "sd": change.std(axis=2).tolist(),
        "better": (change > 0).mean(axis=2).tolist(),
    }
