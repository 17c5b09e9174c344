"""How much hangs on the weights of the sum of free scores: all small ones, and a hold-out.

The weights of `free` were chosen on the benchmark's tables, so that no seed is held out from them.
Held out can be a data set: weights that the other two choose, judged by the third.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.correlation import kendall
from supernet.benchmark.table import DATASETS, Table
from supernet.proxies.ensemble import SUMS, rank_sum
from supernet.proxies.free_scores import parts_of_sums
from supernet.report.markdown import table as markdown_table
from supernet.report.words import dataset_name

COLUMN = "pgd_8"
PARTS = tuple(SUMS["free"])
MOST = 3
"""Weights are whole numbers from 0 to this."""
TOP = 64
"""The last rank of the best 1 %."""
SHOWN = 5
"""Cells that the table names."""
CHOICES = {"rank": "rank of the best cell", "kendall": "Kendall's tau"}
"""What weights can be chosen by on two data sets -> words."""


def judged_weightings(table: Table, may_be_R: NDArray[np.bool_]) -> dict[str, Any]:
    """What the best cell of every weighting is worth, and what two data sets choose for the third.

    `number` weightings of `parts`; multiples of one another count once. `cells`: how many of them
    like a cell best, the most first. For each data set the `quartiles` of the best cell's rank, the
    share of `top` ranks, and for each way of CHOICES, over the weightings that are best in the mean
    of the other two data sets, how many are `alike`, the median `rank` of their best cell, and the
    `weights` of the first.
    may_be_R: the classes that may be the answer.
    """
    weights_WK = np.array(list(all_weightings()))
    sums_WR = weighted_sums(table)
    rows = np.flatnonzero(may_be_R)
    best_W = rows[np.argmax(sums_WR[:, rows], axis=1)]
    truth_DR = np.array([table.values(name, COLUMN) for name in DATASETS])
    quality_DW = {
        "rank": np.array([-np.log(table.ranks(name, COLUMN)[best_W]) for name in DATASETS]),
        "kendall": np.array(
            [[kendall(sum_R[rows], truth_R[rows]) for sum_R in sums_WR] for truth_R in truth_DR]
        ),
    }
    found = []
    for number, name in enumerate(DATASETS):
        ranks_W = table.ranks(name, COLUMN)[best_W]
        chosen = {}
        for way, quality in quality_DW.items():
            mean_W = np.delete(quality, number, axis=0).mean(axis=0)
            alike = np.flatnonzero(mean_W >= mean_W.max() - 1e-12)
            chosen[way] = {
                "alike": len(alike), "rank": float(np.median(ranks_W[alike])),
                "weights": weights_WK[alike[0]].tolist(),
            }  # fmt: skip
        found.append({
            "dataset": name, "quartiles": np.quantile(ranks_W, (0.25, 0.5, 0.75)).tolist(),
            "top": float((ranks_W <= TOP).mean()), "held_out": chosen,
        })  # fmt: skip
    cells = Counter(table.genotypes[row].code for row in best_W)
    return {
        "parts": list(PARTS), "most": MOST, "number": len(weights_WK),
        "cells": dict(cells.most_common()), "datasets": found,
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> list[str]:
    """A section: what hangs on the weights."""
    several = ", ".join(
        f"`{code}` ({number})" for code, number in list(record["cells"].items())[:SHOWN]
    )
    rows = [
        [
            dataset_name(each["dataset"]),
            *[f"{rank:,.0f}" for rank in each["quartiles"]], f"{100 * each['top']:.0f} %",
            *[
                f"{each['held_out'][way]['rank']:,.0f} ({each['held_out'][way]['alike']})"
                for way in CHOICES
            ],
        ]
        for each in record["datasets"]
    ]  # fmt: skip
    return [
        "## Other weights of the sum of free scores",
        f"All {record['number']} weightings of {', '.join(record['parts'])} with whole numbers up "
        f"to {record['most']}, each with the cell without `none` that it likes best; most often "
        f"these are {several}.\n"
        f"Quartiles of that cell's rank, and how many weightings end at rank {TOP} or better.\n"
        "Held out: the median rank of the best cells of those weightings (in brackets, how many) "
        "that the other two data sets choose, by the rank of the best cell (in the mean of its "
        "logarithm) or by Kendall's tau.",
        markdown_table(
            ("images", "25 %", "median", "75 %", "best 1 %",
             *[f"held out, by {words}" for words in CHOICES.values()]),
            rows,
        ),
    ]  # fmt: skip


def weighted_sums(table: Table) -> NDArray[np.float64]:
    """The sum of ranks of every class by each of `all_weightings`, in their order, (W, R)."""
    parts = parts_of_sums(table)
    ranked_KR = np.array([rank_sum(parts, {name: 1.0}) for name in PARTS])
    return np.array(list(all_weightings())) @ ranked_KR


def all_weightings() -> Iterator[tuple[int, ...]]:
    """Weights of PARTS from 0 to MOST; of those that are multiples of one another the least."""
    for weights in itertools.product(range(MOST + 1), repeat=len(PARTS)):
        if math.gcd(*weights) == 1:
            yield weights
