"""How good every guide's proposals are: free scores, the prior and gains, judged by the table.

The weights of `supernet.search.proposals` come from here, and that gains have none. A data set
judges what the other two advise. No training: gains come from searches that were made before.

Legend: R classes, by row of the table.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from supernet.benchmark.correlation import kendall, threshold
from supernet.benchmark.judged_by import other_datasets
from supernet.benchmark.menus import Cover, best_of_each_size, random_menus
from supernet.benchmark.table import DATASETS, Table
from supernet.benchmark.true_front import BUDGETS
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import read_json
from supernet.proxies.ensemble import SUMS, rank_sum
from supernet.proxies.free_scores import parts_of_sums
from supernet.report.markdown import table as markdown_table
from supernet.report.record_shapes import GAINS, SEED
from supernet.report.words import dataset_name, points
from supernet.search.prior import normal_scores
from supernet.search.proposals import (
    FREE_WEIGHT,
    MENU,
    Proposals,
    propose,
)
from supernet.shapes import misfit, require
from supernet.studies import climbs, weightings
from supernet.studies.climbs import climbed
from supernet.studies.weightings import judged_weightings

Scores = NDArray[np.float64]

COLUMN = "pgd_8"
PER_SIZE = (1, 2, 3)
"""Cells of each size on a menu."""
SYNFLOW_WEIGHTS = (1, 3, 4)
"""Next to that of MENU, 2: how much hangs on it."""
GAINS_WEIGHT = 0.25
"""Of gains next to other scores, of which searches take none."""
SMALLEST = 120_000
"""Parameters of the smallest budget of the mean regret."""
KEPT = (3, 6, 9)
"""Neighbours of 18 that a guide keeps."""
STARTS = 60
"""Cells whose neighbours are looked at."""
TOP = 300
"""Ranks from which half of them come."""
HEADER = (
    "guide", "Kendall", "top 10 %", "rank", "best of ten", "regret to 0.4 M", "regret to 0.8 M",
    "in the mean", "without none", *[f"menu of {most}" for most in PER_SIZE], "6 of 18 kept",
    "of good cells",
)  # fmt: skip
LEGEND = """\
By PGD-20 8/255. Kendall's tau over all connected cells, and among the benchmark's best 10 %.
Rank of the best cell without `none`, and of the best of the ten that the guide likes most.
Regret: points that the best cell within so many parameters lacks to the table's best, `none`
allowed; in the mean over budgets that are one of the 26 sizes from 0.13 to 1.53 M; and that of the
best cell without `none`.
Menus: % of the true hypervolume over (parameters, clean, PGD-20 8/255) of so many cells of each
size, `none` allowed.
Kept: points that the best of the six neighbours that the guide keeps lacks to the best of all, in
the mean of 30 cells without `none`, and of 30 of the best 300.
Of several searches the median. The prior is made of the other two data sets."""


def gains_of(path: Path) -> dict[str, Any]:
    """Of a genotype.json: `path`, `dataset`, `seed` and `inner_gains` (6, 5).

    Raises: UserError for a search on images that the benchmark does not know, or without gains.
    """
    record = read_json(path)
    if (
        misfit(record, {"dataset": tuple(DATASETS), "derivation": {"inner_gains": list}})
        is not None
    ):
        raise UserError(
            f"{path} is not of a search on {', '.join(DATASETS)} with a supernet; leave it out"
        )
    require(record, {"seed": SEED, "derivation": {"inner_gains": GAINS}}, path)
    gains = record["derivation"]["inner_gains"]
    return {
        "path": str(path), "dataset": record["dataset"], "seed": record["seed"],
        "inner_gains": gains,
    }  # fmt: skip


def judged_all(table: Table, searches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`judged` for each data set, with the searches that gains come from (of `gains_of`); and what
    hangs on the weights of free scores, and where moves by them lead."""
    plain = _proposals(table, "cifar10", np.zeros((6, 5)), allow_none=False)
    return {
        "column": COLUMN,
        "weights": {"free": FREE_WEIGHT, "gains": GAINS_WEIGHT},
        "table": table.sources,
        "searches": [dict(search) for search in searches],
        "weightings": judged_weightings(table, plain.may_be_R),
        "climbs": {
            "any cells": climbed(table, plain.scores["free"], _starts(table, "cifar10")["any"]),
        },
        "judged": [
            judged(table, name, [s["inner_gains"] for s in searches if s["dataset"] == name])
            for name in DATASETS
        ],
    }


def judged(table: Table, dataset: str, gains: Sequence[ArrayLike]) -> dict[str, Any]:
    """Every guide of `guides`, judged by PGD-20 8/255 on a data set: a list of records each.

    gains: (6, 5) of one search each, on this data set. A guide with gains has a record for each of
    them, the others have one. A record has `kendall` over all connected classes and, as
    `kendall_top_10`, among the best 10 %; of the cells without `none` the `rank` of the best and
    the `best_of_ten`; within each budget, and as `mean` within the sizes that cells have, the
    `regret` (fractions) to the table's best, of the best cell without `none` and of the best of
    all; of all connected cells `menus`, the share of the true hypervolume that one, two and three
    of each size cover; and `neighbours`, the regret (fractions, mean of starts) where the guide
    keeps 3, 6 or 9 neighbours, around any cells and around the best ones.
    """
    cover, starts = Cover(table, dataset), _starts(table, dataset)
    found: dict[str, list[dict[str, Any]]] = {}
    plain, menu = (_proposals(table, dataset, np.zeros((6, 5)), none) for none in (False, True))
    for name, score_R in _guides(plain, table, dataset).items():
        found[name] = [_record(score_R, plain, menu, cover, starts)]
    for gains_EO in gains:
        proposals = _proposals(table, dataset, gains_EO, allow_none=False)
        for name, score_R in _guides_with_gains(proposals).items():
            record = _record(score_R, plain, menu, cover, starts)
            found.setdefault(name, []).append(record)
    sizes_R, rows = table.costs("params", cheapest=True), np.flatnonzero(menu.may_be_R)
    random = [random_menus(cover, sizes_R, rows, most) | {"per_size": most} for most in PER_SIZE]
    return {"dataset": dataset, "guides": found, "random_menus": random}


def markdown(record: Mapping[str, Any]) -> str:
    """A table for each data set; of several searches the median."""
    blocks = ["# What free scores, the prior and gains propose"]
    for part in record["judged"]:
        lines = [_line(name, records) for name, records in part["guides"].items()]
        menus = [points(menu["hypervolume_ratio"]) for menu in part["random_menus"]]
        lines.append(["random menus", *[""] * 8, *menus, "", ""])
        blocks += [f"## {dataset_name(part['dataset'])}", markdown_table(HEADER, lines)]
    blocks += [LEGEND, *weightings.markdown(record["weightings"])]
    return "\n\n".join([*blocks, *climbs.markdown(record["climbs"])]) + "\n"


def _line(name: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    def median(value: Callable[[Mapping[str, Any]], float]) -> float:
        return statistics.median(value(record) for record in records)

    several = f" ({len(records)} searches)" if len(records) > 1 else ""
    return [
        name + several,
        f"{median(lambda r: r['kendall']):.3f}",
        f"{median(lambda r: r['kendall_top_10']):.3f}",
        f"{median(lambda r: r['rank']):,.0f}",
        f"{median(lambda r: r['best_of_ten']):,.0f}",
        *[
            points(median(lambda r, b=budget, n=none: r["regret"][b][n]))  # type: ignore[misc]
            for budget, none in (("400000", 1), ("800000", 1), ("mean", 1), ("mean", 0))
        ],
        *[points(median(lambda r, n=n: r["menus"][n])) for n in range(len(PER_SIZE))],  # type: ignore[misc]
        *[
            points(median(lambda r, s=start: r["neighbours"][s][1]))  # type: ignore[misc]
            for start in ("any", "best")
        ],
    ]


def _proposals(table: Table, dataset: str, gains_EO: ArrayLike, allow_none: bool) -> Proposals:
    return propose(
        table, gains_EO, other_datasets(dataset), follows_prior=True, robust=True,
        allow_none=allow_none,
    )  # fmt: skip


def _guides(proposals: Proposals, table: Table, dataset: str) -> dict[str, Scores]:
    """Scores that no search takes part in."""
    parts, scores = parts_of_sums(table), proposals.scores
    columns = [table.values(other, COLUMN) for other in other_datasets(dataset)]
    return {
        **{name: parts[name] for name in ("params", "jacob_cov", "synflow")},
        **{name: rank_sum(parts, weights) for name, weights in SUMS.items()},
        **{
            f"menu, synflow x {weight}": rank_sum(parts, MENU | {"synflow": weight})
            for weight in SYNFLOW_WEIGHTS
        },
        "prior, mean of ranks": np.mean([rankdata(column) for column in columns], axis=0),
        "prior": scores["prior"],
        "prior + free": scores["both"],
    }


def _guides_with_gains(proposals: Proposals) -> dict[str, Scores]:
    scores = proposals.scores
    gains_R = GAINS_WEIGHT * normal_scores(scores["gains"])
    return {
        "gains": scores["gains"],
        "free + gains": normal_scores(scores["free"]) + gains_R,
        "prior + free + gains": scores["both"] + gains_R,
    }


def _record(
    score_R: Scores,
    plain: Proposals,
    menu: Proposals,
    cover: Cover,
    starts: Mapping[str, Sequence[Genotype]],
) -> dict[str, Any]:
    table, dataset = plain.table, cover.dataset
    truth_R, ranks_R = table.values(dataset, COLUMN), table.ranks(dataset, COLUMN)
    top_R = menu.may_be_R & (truth_R >= threshold(truth_R, 0.1))
    best, best_of_all = (
        rows[np.argsort(-score_R[rows], kind="stable")]
        for rows in (np.flatnonzero(plain.may_be_R), np.flatnonzero(menu.may_be_R))
    )
    sizes_R = table.costs("params", cheapest=True)

    def regret(budget: float) -> list[float]:
        within = (rows[sizes_R[rows] <= budget] for rows in (best, best_of_all))
        most = truth_R[sizes_R <= budget].max()
        return [float(most - truth_R[rows[0]]) for rows in within]

    return {
        "kendall": kendall(score_R[menu.may_be_R], truth_R[menu.may_be_R]),
        "kendall_top_10": kendall(score_R[top_R], truth_R[top_R]),
        "rank": int(ranks_R[best[0]]),
        "best_of_ten": int(ranks_R[best[:10]].min()),
        "regret": {
            **{f"{budget:.0f}": regret(budget) for budget in BUDGETS["params"]},
            "mean": np.mean([regret(size) for size in _sizes(sizes_R)], axis=0).tolist(),
        },
        "menus": [
            cover.share(best_of_each_size(score_R, sizes_R, np.flatnonzero(menu.may_be_R), most)[0])
            for most in PER_SIZE
        ],
        "neighbours": {name: _lost(table, score_R, truth_R, c) for name, c in starts.items()},
    }


def _sizes(sizes_R: NDArray[np.integer]) -> NDArray[np.integer]:
    """The sizes that cells have, but for the smallest, in which no choice is left."""
    sizes = np.unique(sizes_R)
    return sizes[sizes >= SMALLEST]


def _starts(table: Table, dataset: str) -> dict[str, list[Genotype]]:
    """Cells without `none`, drawn from all and from the TOP best."""
    random = np.random.default_rng(0)
    rows = np.array([row for row, cell in enumerate(table.genotypes) if 0 not in cell.ops])
    best = rows[table.ranks(dataset, COLUMN)[rows] <= TOP]
    return {
        name: [table.genotypes[row] for row in random.choice(some, STARTS // 2, replace=False)]
        for name, some in (("any", rows), ("best", best))
    }


def _lost(
    table: Table, score_R: Scores, truth_R: Scores, starts: Sequence[Genotype]
) -> list[float]:
    """Mean over starts of what the best neighbour is better than the best of those kept."""
    lost = np.zeros(len(KEPT))
    for start in starts:
        around = [cell for cell in start.neighbours() if 0 not in cell.ops]
        rows = np.array([table.row(cell) for cell in around])
        truth = truth_R[rows[np.argsort(-score_R[rows], kind="stable")]]
        lost += [truth.max() - truth[:kept].max() for kept in KEPT]
    return [float(value) for value in lost / len(starts)]
