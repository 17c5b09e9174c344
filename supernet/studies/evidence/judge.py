"""What the benchmark says of each row: of cells that were searched, and of those that were not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.space import NONE
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import scaled_hypervolume, true_front
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.errors import UserError
from supernet.files import read_json, read_jsonl
from supernet.report.words import baseline_name
from supernet.studies.evidence.plan import JUDGE, PICKS, RANDOM
from supernet.studies.ranking.config import lower_is_better
from supernet.studies.ranking.fronts import AXES, front_points

COLUMNS = ("clean", "pgd_8", "autoattack")
DRAWS = 500


def place(entry: dict[str, Any]) -> dict[str, Any]:
    """The shown columns of what `query_cell` says or of a row of `baseline_rows`.

    Accuracies and regret are fractions; regret is to the benchmark's best cell by the judge.
    """
    dataset, column = JUDGE
    return {
        **{name: entry["results"][dataset][name] for name in COLUMNS},
        "rank": entry["ranks"][dataset][column],
        "regret": entry["regret"][dataset][column],
        "params": entry["params"],
    }


def judged(table: Table, code: str) -> dict[str, Any]:
    """A cell and its place."""
    return {"code": code, **place(query_cell(table, Genotype.parse(code)))}


def without_search(table: Table) -> list[dict[str, Any]]:
    """The rows that cost nothing. The largest cell by parameters is all-3x3: one row for both."""
    found = []
    for row in baseline_rows(table, *JUDGE, best_of=RANDOM):
        largest = ", the largest cell" if row["key"] == "all_3x3" else ""
        name = baseline_name(row) + largest
        found.append({"name": name, "n": row.get("n"), "code": row.get("code"), **place(row)})
    return found


def random_fronts(table: Table, *, draws: int = DRAWS, seed: int = 0) -> list[dict[str, Any]]:
    """What random cells reach of the true front, without a search and without the operator `none`.

    `hypervolume_ratio`: 2.5th, 50th and 97.5th percentile of the draws. A front is over
    (parameters, clean, PGD-20 8/255), as that of a search.
    """
    dataset, _ = JUDGE
    true = true_front(table, dataset, AXES, cheapest=True)["hypervolume"]
    classes = {c.canonical: c for c in all_genotypes() if c.is_connected and not c.count(NONE)}
    cells = list(classes.values())
    points = front_points(table, dataset, cells)
    sizes = [np.flatnonzero(points[:, 0] == size) for size in np.unique(points[:, 0])]
    random = np.random.default_rng(seed)
    ways: dict[str, Callable[[], NDArray[np.int64]]] = {
        "one random cell of each size": lambda: np.array([random.choice(s) for s in sizes]),
        "40 random cells": lambda: random.choice(len(cells), 40, replace=False),
        "150 random cells": lambda: random.choice(len(cells), 150, replace=False),
    }
    found = []
    for name, draw in ways.items():
        rows = [draw() for _ in range(draws)]
        ratios = [scaled_hypervolume(points[r], dataset, AXES) / true for r in rows]
        percentiles = np.percentile(ratios, (2.5, 50, 97.5)).tolist()
        found.append({"name": name, "cells": len(rows[0]), "hypervolume_ratio": percentiles})
    return found


def picks(table: Table, ranking: Path) -> list[dict[str, Any]]:
    """For each of PICKS in a ranking, its best-scored random cell, judged.

    `ranking` is a ranking.json, with the scores.jsonl that it was made of next to it. Of cells
    that share the best score the first drawn counts; `ties` is how many there are.
    Raises: UserError when one of the files is missing or damaged.
    """
    images = read_json(ranking).get("images")
    scored = ranking.with_name("scores.jsonl")
    records = [record for record in read_jsonl(scored) if record["random"]]
    if not records:
        raise UserError(f"{scored} holds no random cells; run the ranking of {ranking} again")
    found = []
    for name in PICKS:
        if name not in records[0]["scores"]:
            continue
        sign = -1 if lower_is_better(name) else 1
        scores = [sign * record["scores"][name] for record in records]
        best = records[scores.index(max(scores))]
        found.append({
            "name": f"best of {len(records):,} cells by {name}", "score": name,
            "ranking": str(ranking), "images": images, "ties": scores.count(max(scores)),
            **judged(table, best["code"]),
        })  # fmt: skip
    return found
