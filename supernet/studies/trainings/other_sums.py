"""What losses are worth where the sum of free scores were another: kept sweeps, chosen anew.

The weights of `free` were chosen on the benchmark's tables, and on other images another sum may be
right. So each kept sweep is chosen from its first round's losses, which every cell but the start
has, next to the standings by all small weightings of the same scores. Of sweeps of proposals only
those count whose cells `free` or a supernet had picked, in attacked searches; where one has the
trainings of another and more, the larger counts.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from supernet.benchmark.table import DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.proxies.standing import LOSS_WEIGHT, scores_of
from supernet.report.markdown import table as markdown_table
from supernet.report.words import dataset_name, points
from supernet.studies.weightings import PARTS, weighted_sums

COLUMN = "pgd_8"


def judged_sums(
    sweeps: Sequence[tuple[str, Mapping[str, Any]]], table: Table
) -> list[dict[str, Any]]:
    """For each data set and kind of sweep what choices lack to the best of the sweep's cells.

    sweeps: (data set, sweep). A record has `dataset`, `of` (proposals or neighbours), the number of
    `sweeps` and of `weightings`; over all pairs of both the mean regret (fractions) by the standing
    `alone` and `with_losses` at LOSS_WEIGHT, and the shares in which losses choose a `better` and a
    `worse` cell.
    """
    sums_WR = weighted_sums(table)
    standings_WR = sums_WR / sums_WR.std(axis=1, keepdims=True)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    counts: dict[tuple[str, str], int] = {}
    for dataset, sweep in sweeps:
        key = (dataset, kind_of(sweep))
        counts[key] = counts.get(key, 0) + 1
        losses = sweep["losses"][0]
        cells = [Genotype.parse(code) for code in losses]
        rows = [table.row(cell) for cell in cells]
        truth = table.values(dataset, COLUMN)[rows]
        behind = np.array(scores_of(cells, [*losses.values()], lambda cell: 0.0, LOSS_WEIGHT))
        standings_WC = standings_WR[:, rows]
        for alone, helped in zip(
            standings_WC.argmax(axis=1), (standings_WC + behind).argmax(axis=1), strict=True
        ):
            lacks = (float(truth.max() - truth[n]) for n in (alone, helped))
            found.setdefault(key, []).append(tuple(lacks))  # type: ignore[arg-type]
    return [
        {
            "dataset": dataset, "of": of, "sweeps": counts[dataset, of],
            "weightings": len(sums_WR),
            "alone": statistics.fmean(alone for alone, _ in pairs),
            "with_losses": statistics.fmean(helped for _, helped in pairs),
            "better": statistics.fmean(helped < alone for alone, helped in pairs),
            "worse": statistics.fmean(helped > alone for alone, helped in pairs),
        }
        for (dataset, of), pairs in sorted(found.items(), key=_order)
    ]  # fmt: skip


def picked_by_scores(evidence: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(data set, sweep) without a budget and a prior, of attacked searches; none twice, and none
    whose first round is a part of another's."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for run in evidence["runs"]:
        words = run["flags"].split()
        if run["budget"] is not None or "--no-robust" in words or "tables" in words:
            continue
        found += [(run["dataset"], sweep) for sweep in run.get("sweeps") or ()]
    found.sort(key=lambda item: -len(item[1]["losses"][0]))
    kept: list[tuple[str, Mapping[str, Any]]] = []
    for dataset, sweep in found:
        trained = sweep["losses"][0].items()
        if not any(
            (dataset, sweep["start"]) == (name, other["start"])
            and trained <= other["losses"][0].items()
            for name, other in kept
        ):
            kept.append((dataset, sweep))
    return kept


def kind_of(sweep: Mapping[str, Any]) -> str:
    """`proposals`, or `neighbours` of a cell."""
    return "proposals" if sweep["start"] is None else "neighbours"


def markdown(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A section: alone and with losses, in points."""
    number = records[0]["weightings"]
    rows = [
        [
            dataset_name(record["dataset"]), record["of"], str(record["sweeps"]),
            points(record["alone"]), points(record["with_losses"]),
            f"{100 * record['better']:.0f} %", f"{100 * record['worse']:.0f} %",
        ]
        for record in records
    ]  # fmt: skip
    return [
        "## Next to other sums of free scores",
        f"Sweeps of attacked searches without a prior, none twice, with the standings of all "
        f"{number} weightings of {', '.join(PARTS)} "
        "with whole numbers from 0 to 3, in place of their own.\n"
        "Points that the choice lacks to the best of the first round's cells, in the mean over "
        f"sweeps and weightings: by standing alone, and with losses at {LOSS_WEIGHT:g}; and how "
        "often losses lead to a better and to a worse cell.",
        markdown_table(
            ("images", "sweeps of", "sweeps", "standing alone", "with losses", "better", "worse"),
            rows, "llrrrrr",
        ),
    ]  # fmt: skip


def _order(item: tuple[tuple[str, str], Any]) -> tuple[int, int]:
    (dataset, of), _ = item
    return list(DATASETS).index(dataset), ["proposals", "neighbours"].index(of)
