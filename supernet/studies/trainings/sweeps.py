"""What losses are worth next to the standing, in the sweeps that an evidence.json keeps.

A sweep is chosen anew with other weights, from the losses of its first round, which has every
neighbour but not the cell itself, and from those of its last, which has few and the cell; and
without any losses, by the standing of all its cells.
"""

import itertools
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from supernet.benchmark.table import DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.proxies.standing import LOSS_WEIGHT, scores_of
from supernet.report.markdown import table as markdown_table
from supernet.report.record_shapes import CODE, DATASET, NUMBER
from supernet.report.words import dataset_name, points
from supernet.shapes import Each, Items, Maybe, require, unlike
from supernet.studies.evidence.records import read_evidence
from supernet.studies.trainings import other_sums
from supernet.studies.trainings.other_sums import judged_sums, kind_of, picked_by_scores

COLUMN = "pgd_8"
ROUNDS = {"first": 0, "last": -1}
LOSSES_ALONE = float("inf")
WEIGHTS = (0.0, 0.1, LOSS_WEIGHT, 0.5, 1.0, 2.0, LOSSES_ALONE)
"""Of the losses."""


_CODES = frozenset(map("".join, itertools.product("01234", repeat=6)))
_SWEEP = {
    "start": (CODE, None), "standings": Each(NUMBER, _CODES),
    "losses": Items(Each(NUMBER), 1),
}  # fmt: skip
_EVIDENCE = {
    "runs": [{"dataset": DATASET, "budget": (str, None), "sweeps": Maybe([_SWEEP])}],
}  # fmt: skip


def read_sweeps(path: Path) -> dict[str, Any]:
    """The content of an evidence.json.

    Raises: UserError when it cannot be read, or a sweep is not as it is written.
    """
    evidence = read_evidence(path)
    require(evidence, _EVIDENCE, path)
    for run in evidence["runs"]:
        for sweep in run.get("sweeps", ()):
            if any(not losses or losses.keys() - sweep["standings"] for losses in sweep["losses"]):
                raise unlike(path, "a round of a sweep has no cells, or others than the sweep")
    return evidence


def judged_all(evidence: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """`weights`, of `judged_sweeps`, and `other_sums`, of `judged_sums`.

    evidence: of `read_sweeps`.
    Raises: UserError where no sweep is kept.
    """
    weights = judged_sweeps(evidence, table)
    return {
        "weights": weights,
        "other_sums": judged_sums(picked_by_scores(evidence), table),
    }


def judged_sweeps(evidence: Mapping[str, Any], table: Table) -> list[dict[str, Any]]:
    """For each data set, round and weight what choices lack to the best cell of their sweep.

    A record has `dataset`, the sweeps that it is `of` (proposals, neighbours, all), `round` (`none`
    is the standing alone, of all cells), `weight` (None is losses alone), the number of `sweeps`,
    and the `mean` and `most` regret by COLUMN (fractions). A sweep that several runs share counts
    once; those within a budget, which rows compare otherwise, are left out.
    evidence: of `read_sweeps`.
    Raises: UserError where no sweep is kept.
    """
    found: dict[tuple[str, str, str, float], list[float]] = {}
    for dataset, sweep in different(evidence):
        values = table.values(dataset, COLUMN)
        truth = {
            cell: float(values[table.row(Genotype.parse(cell))]) for cell in sweep["standings"]
        }
        for name, weight, chosen in _choices(sweep):
            for of in (kind_of(sweep), "all"):
                lacks = found.setdefault((dataset, of, name, weight), [])
                lacks.append(max(truth.values()) - truth[chosen])
    if not found:
        raise UserError("no sweep with its losses is kept there; scripts/evidence.py makes some")
    return [
        {
            "dataset": dataset, "of": of, "round": name,
            "weight": None if weight == LOSSES_ALONE else weight,
            "sweeps": len(lacks), "mean": statistics.fmean(lacks), "most": max(lacks),
        }
        for (dataset, of, name, weight), lacks in sorted(found.items(), key=_order)
    ]  # fmt: skip


def markdown(record: Mapping[str, Any]) -> str:
    """A table, data sets, kinds of sweeps and rounds down, weights across; and other sums."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for each in record["weights"]:
        groups.setdefault((each["dataset"], each["of"], each["round"]), []).append(each)
    heads = ["losses alone" if weight == LOSSES_ALONE else f"{weight:g}" for weight in WEIGHTS]
    blocks = [
        "# What losses are worth next to the standing",
        "Points by PGD-20 8/255 that the choice of a sweep lacks to the best of its cells, in the "
        "mean and, in brackets, at most, where losses have the weight of the column.\n"
        "Without a round, all cells of the sweep are there, and their standing chooses.\n"
        "The first round has all cells but the one that the sweep starts from; the last has that "
        "one and few others.\n"
        f"Searches choose by the last round, at {LOSS_WEIGHT:g}.",
        markdown_table(
            ("images", "sweeps of", "round", "sweeps", *heads),
            [
                [dataset_name(dataset), of, name, str(lines[0]["sweeps"]), *_filled(lines)]
                for (dataset, of, name), lines in groups.items()
            ],
            "lllr" + "r" * len(WEIGHTS),
        ),
    ]  # fmt: skip
    return "\n\n".join([*blocks, *other_sums.markdown(record["other_sums"])]) + "\n"


def _filled(lines: list[dict[str, Any]]) -> list[str]:
    texts = [f"{points(line['mean'])} ({points(line['most'])})" for line in lines]
    return texts + [""] * (len(WEIGHTS) - len(texts))


def different(evidence: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(data set, sweep) without a budget, of each that several runs share one."""
    seen = set()
    for run in evidence["runs"]:
        for sweep in run.get("sweeps") or ():
            trained = tuple(sorted(sweep["losses"][0].items()))
            key = (run["dataset"], sweep["start"], trained)
            if run["budget"] is None and len(sweep["losses"][-1]) > 1 and key not in seen:
                seen.add(key)
                yield run["dataset"], sweep


def _choices(sweep: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    """(round, weight, chosen cell): as `refine` chooses, at every weight."""
    standings: Mapping[str, float] = sweep["standings"]
    yield "none", 0.0, max(standings, key=standings.__getitem__)
    for name, number in ROUNDS.items():
        losses: Mapping[str, float] = sweep["losses"][number]
        dropped = len(standings) - len(losses) if losses is not sweep["losses"][0] else 0
        for weight in WEIGHTS:
            if weight == LOSSES_ALONE:
                yield name, weight, min(losses, key=losses.__getitem__)
                continue
            cells = [Genotype.parse(code) for code in losses]
            scores = scores_of(
                cells, [*losses.values()], lambda cell: standings[cell.code], weight, dropped
            )
            yield name, weight, cells[scores.index(max(scores))].code


def _order(item: tuple[tuple[str, str, str, float], Any]) -> tuple[int, int, int, float]:
    (dataset, of, name, weight), _ = item
    kinds = ["all", "proposals", "neighbours"]
    return list(DATASETS).index(dataset), kinds.index(of), ["none", *ROUNDS].index(name), weight
