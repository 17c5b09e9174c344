"""The table of a ranking: every score against every column, and the rows to beat. No torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.correlation import (
    REGIONS,
    Estimate,
    difference,
    estimate_within,
    judge,
    sort_value,
    threshold,
)
from supernet.benchmark.standard import StandardTable
from supernet.benchmark.table import COLUMNS, Table, check_name
from supernet.errors import UserError
from supernet.proxies.ensemble import SUMS, rank_sum
from supernet.report.markdown import plain
from supernet.studies.ranking import fronts
from supernet.studies.ranking.config import RankConfig, lower_is_better
from supernet.studies.ranking.fronts import pick_fronts
from supernet.studies.ranking.ridge import one_hot_rows, ridge_predictions
from supernet.studies.ranking.sample import Cell, sample_words

STANDARD = "standard:"
PARAMETERS = "parameters"
RIDGE = "one-hot ridge"
FOLDS = 10
ATTACKED_KERNELS = ("robust", "twice", "all", "all_robust")
COMPARED_REGIONS = ("all", "top_10")
REGION_NAMES = {"all": "all", "top_10": "top 10 %", "top_1": "top 1 %"}

Array = NDArray[np.float64]


def check_columns(config: RankConfig, table: Table) -> None:
    """Raises: UserError for a data set or column that the tables do not have."""
    check_name("data set", config.benchmark_dataset, table.datasets)
    check_name("column", config.top_column, COLUMNS)
    for column in config.columns:
        truth_of(table, config, column)


def truth_of(table: Table, config: RankConfig, column: str) -> Array:
    """A column over all evaluated cells, by row of the table.

    `pgd_8` is that of the config's data set, `cifar100:pgd_8` that of CIFAR-100.
    """
    if not column.startswith(STANDARD):
        dataset, _, name = column.rpartition(":")
        check_name("column", name, COLUMNS)
        return table.values(dataset or config.benchmark_dataset, name)
    standard = StandardTable.load(config.data_root, verify=config.verify)
    if not (standard.raw.row_of == table.row_of).all():
        raise UserError("the table of standard-trained cells has other classes than the benchmark")
    return standard.values(config.benchmark_dataset, column.removeprefix(STANDARD))


def judge_scores(
    config: RankConfig, table: Table, cells: list[Cell], records: list[dict[str, Any]]
) -> dict[str, Any]:
    """rows[column][score] = `correlation.judge`'s record, rows to beat included, and `equal_size`,
    Kendall's tau over pairs of random cells with as many parameters; of sums and combined rows
    `minus_parameters` as well. `fronts` as `pick_fronts` has it, of the random cells.

    Scores of which less is better are negated before they are judged. `parameters` needs no image;
    `one-hot ridge` is predicted out of fold from the other cells' truth. Sums are those of
    `ensemble.SUMS` whose parts are all there, combined rows those that the config names: mean ranks
    of their parts over the cells.
    """
    scores = oriented_scores(config, table, cells, records)
    marked = np.array([cell.random for cell in cells])
    rows: dict[str, dict[str, Any]] = {}
    claims: dict[str, Any] = {}
    for column in config.columns:
        truth_all = truth_of(table, config, column)
        truth = truth_all[[cell.row for cell in cells]]
        columns = dict(scores)
        if len(cells) >= 2 * FOLDS:
            features = one_hot_rows([cell.genotype for cell in cells])
            columns[RIDGE] = ridge_predictions(features, truth, folds=FOLDS, seed=config.seed)
        options: dict[str, Any] = {"repeats": config.bootstrap, "seed": config.seed}
        rows[column] = {
            name: judge(score, truth, truth_all, marked, **options)
            | {
                "equal_size": estimate_within(
                    score[marked], truth[marked], scores[PARAMETERS][marked], **options
                ).as_dict()
            }
            for name, score in columns.items()
        }
        for name in sums_among(config, scores):
            rows[column][name]["minus_parameters"] = compared(
                config, scores[name], scores[PARAMETERS], truth, truth_all, marked
            )
        claims[column] = kernel_claims(config, scores, truth, truth_all, marked)
    return {
        "benchmark": config.benchmark_dataset,
        "cells": int(marked.sum()),
        "top_cells": int((~marked).sum()),
        "top_column": config.top_column if config.top_cells else None,
        "config": config.fixed(),
        "tables": table.sources,
        "rows": rows,
        "fronts": pick_fronts(
            table,
            config.benchmark_dataset,
            [cell.genotype for cell in cells if cell.random],
            {name: score[marked] for name, score in scores.items()},
            seed=config.seed,
        ),
        "kernel_claims": claims,
    }


def kernel_claims(
    config: RankConfig,
    scores: Mapping[str, Array],
    truth_n: Array,
    truth_all: Array,
    marked_n: NDArray[np.bool_],
) -> dict[str, Any]:
    """Kendall of an attacked kernel's score minus that of the clean kernel's, region by region.

    The paper of the benchmark claims that robust kernels order robust accuracy better than the
    clean one: [kernel][measure][region] is that difference, paired. Empty without `ntk`.
    """
    found: dict[str, Any] = {}
    for kernel in ATTACKED_KERNELS:
        for measure in ("min", "cond", "trace", "fro"):
            name, clean = f"ntk_{kernel}_{measure}", f"ntk_clean_{measure}"
            if name not in scores:
                continue
            found.setdefault(kernel, {})[measure] = compared(
                config, scores[name], scores[clean], truth_n, truth_all, marked_n
            )
    return found


def compared(
    config: RankConfig,
    score_n: Array,
    other_n: Array,
    truth_n: Array,
    truth_all: Array,
    marked_n: NDArray[np.bool_],
) -> dict[str, Any]:
    """[region] -> Kendall of a score minus that of another, with its paired interval."""
    regions = {}
    for region in COMPARED_REGIONS:
        inside = marked_n if region == "all" else truth_n >= threshold(truth_all, REGIONS[region])
        regions[region] = difference(
            "kendall", score_n[inside], other_n[inside], truth_n[inside],
            repeats=config.bootstrap, seed=config.seed,
        ).as_dict()  # fmt: skip
    return regions


def oriented_scores(
    config: RankConfig, table: Table, cells: list[Cell], records: list[dict[str, Any]]
) -> dict[str, Array]:
    """Every row's score by cell, such that higher is better; `parameters` and sums too.

    `parameters` are those of the evaluated cell. The `params` of a named sum are those of the
    cheapest member of its class, as in `free_scores.parts_of_sums`.
    """
    names = list(records[0]["scores"])
    scores = {
        name: np.array([record["scores"][name] for record in records])
        * (-1 if lower_is_better(name) else 1)
        for name in names
    }
    scores[PARAMETERS] = np.array([float(cell.genotype.params()) for cell in cells])
    check_combinations(config, tuple(scores))
    cheapest = table.costs("params", cheapest=True)[[cell.row for cell in cells]]
    parts = scores | {"params": cheapest.astype(np.float64)}
    for name, weights in SUMS.items():
        if set(weights) <= set(parts):
            scores[name] = rank_sum(parts, weights)
    for combination in config.combine:
        scores[combination] = rank_sum(scores, dict.fromkeys(combination.split("+"), 1.0))
    return scores


def sums_among(config: RankConfig, scores: Mapping[str, Array]) -> list[str]:
    """The rows that are sums of others."""
    return [name for name in scores if name in SUMS or name in config.combine]


def check_combinations(config: RankConfig, names: tuple[str, ...]) -> None:
    """Raises: UserError for a combination of scores that will not be there."""
    for combination in config.combine:
        for part in combination.split("+"):
            if part not in names:
                raise UserError(f"--combine {combination}: {part!r} is none of {', '.join(names)}")


def markdown(ranking: dict[str, Any]) -> str:
    """The rows as tables, one per column, best global Kendall first."""
    sample = sample_words(ranking["cells"])
    lines = [f"# {sample[0].upper()}{sample[1:]} of {ranking['benchmark']}"]
    if ranking["top_cells"]:
        lines[0] += f", and {ranking['top_cells']} more of its best 10 %"
    lines += ["", f"Images: {plain(ranking['images'])}."] if "images" in ranking else []
    for column, rows in ranking["rows"].items():
        counts = {r: next(iter(rows.values()))[r]["kendall"]["n"] for r in REGIONS}
        heads = [f"Kendall, {REGION_NAMES[r]} (n={counts[r]})" for r in REGIONS]
        lines += ["", f"## {plain(column)}", ""]
        same = next(iter(rows.values()))["equal_size"]["n"]
        heads.append(f"Kendall, equal size (n={same})")
        heads += ["nDCG at 50", "best pick", "best of 10 picks", "regret"]
        lines += [f"| score | Spearman, all | {' | '.join(heads)} |"]
        lines += ["|---|---|---|---|---|---|---|---|---|---|"]
        taus = {name: sort_value(row["all"]["kendall"]["value"]) for name, row in rows.items()}
        for name in sorted(taus, key=taus.__getitem__, reverse=True):
            row = rows[name]
            cells = [str(Estimate(**row["all"]["spearman"]))]
            cells += [str(Estimate(**row[region]["kendall"])) for region in REGIONS]
            cells.append(str(Estimate(**row["equal_size"])))
            cells += [
                f"{row['ndcg_50']:.3f}",
                f"{row['argmax_rank']:,}",
                f"{row['top_ten_rank']:,}",
            ]
            lines += [f"| {plain(name)} | {' | '.join(cells)} | {100 * row['regret']:.2f} |"]
        lines += _sum_lines(rows)
        lines += _claim_lines(ranking["kernel_claims"][column])
    lines += fronts.markdown(ranking["fronts"], ranking["cells"])
    lines += [
        "",
        "Intervals: 95 %, bootstrap over cells. Regions are the benchmark's best by the column; "
        "equal size: over pairs of random cells with as many parameters, so that size tells "
        "nothing. "
        "nDCG at 50: the gain is 2^accuracy in percent, discounted by place. Picks: ranks in "
        "the benchmark of the best scored cell, and of the best of the ten best scored. "
        "Regret: accuracy points between the best scored cell's value and the best value among "
        f"{sample}.",
    ]
    return "\n".join(lines) + "\n"


def _sum_lines(rows: dict[str, Any]) -> list[str]:
    sums = {
        name: row["minus_parameters"] for name, row in rows.items() if "minus_parameters" in row
    }
    if not sums:
        return []
    lines = ["", "Kendall minus that of parameters, paired bootstrap:", ""]
    lines += ["| sum | all | top 10 % |", "|---|---|---|"]
    for name, regions in sums.items():
        cells = [str(Estimate(**regions[region])) for region in COMPARED_REGIONS]
        lines += [f"| {name} | {' | '.join(cells)} |"]
    return lines


def _claim_lines(claims: dict[str, Any]) -> list[str]:
    if not claims:
        return []
    lines = ["", "Kendall minus that of the clean kernel, paired bootstrap:", ""]
    lines += ["| kernel, measure | all | top 10 % |", "|---|---|---|"]
    for kernel, measures in claims.items():
        for measure, regions in measures.items():
            cells = [str(Estimate(**regions[region])) for region in COMPARED_REGIONS]
            lines += [f"| {kernel}, {measure} | {' | '.join(cells)} |"]
    return lines
