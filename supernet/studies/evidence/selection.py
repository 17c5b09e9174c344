"""Which records of evidence.json stand in a line of the page. No torch."""

import itertools
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from supernet.errors import UserError
from supernet.studies.evidence.plan import config_of, shown
from supernet.studies.evidence.records import answer

Record = dict[str, Any]


class Line(NamedTuple):
    """The runs of a row on one data set, and the guide that their cells are by."""

    row: str
    guide: str
    records: list[Record]

    @property
    def cells(self) -> list[Record]:
        """The cell of each record."""
        return [answer(record, self.guide) for record in self.records]


def records_of(
    evidence: Mapping[str, Any],
    dataset: str,
    row: str,
    *,
    budget: str | None = None,
    seeds: Sequence[int] = (),
) -> list[Record]:
    """The runs of a row on a data set within a budget, of these seeds or of all; by seed."""
    found = [
        run for run in evidence["runs"]
        if (run["dataset"], run["row"], run["budget"]) == (dataset, row, budget)
        and (not seeds or run["seed"] in seeds)
    ]  # fmt: skip
    return sorted(found, key=lambda run: run["seed"])


def lines_of(evidence: Mapping[str, Any], dataset: str) -> list[Line]:
    """The lines of a data set's table: of each row without budgets that has a run."""
    found = []
    for row in evidence["plan"]:
        if row["budgets"]:
            continue
        if records := records_of(evidence, dataset, row["name"]):
            found += [Line(row["name"], guide, records) for guide in row["guides"]]
    return found


def missing(evidence: Mapping[str, Any]) -> list[str]:
    """The runs of the plan that have no record, in words: a row, its seeds and data sets at a time.

    "`main` seeds 5 to 9 on cifar10, cifar100"; a row with budgets names those that lack a seed.
    """
    absent: dict[tuple[str, str, str], list[str]] = {}
    for row, images in itertools.product(evidence["plan"], evidence["images"]):
        if images["name"] not in row["images"]:
            continue
        seeds: dict[str, list[str]] = {}
        for budget in row["budgets"] or [None]:
            known = records_of(evidence, images["name"], row["name"], budget=budget)
            planned = set(row["seeds"]) & set(images.get("seeds", row["seeds"]))
            lacking = sorted(planned - {run["seed"] for run in known})
            if lacking:
                seeds.setdefault(shown(lacking), []).append(budget or "")
        for words, budgets in seeds.items():
            key = (row["name"], ", ".join(filter(None, budgets)), words)
            absent.setdefault(key, []).append(images["name"])
    return [
        f"`{row}`{' ' * bool(budgets)}{budgets} {seeds} on {', '.join(names)}"
        for (row, budgets, seeds), names in absent.items()
    ]


def earlier(evidence: Mapping[str, Any]) -> list[str]:
    """The rows and data sets with runs whose flags mean another config today, in words.

    A default has changed since, or a flag is gone: "`main` on cifar10, cifar100".
    """
    found: dict[str, dict[str, None]] = {}
    for run in evidence["runs"]:
        if _hash_today(run["flags"], run["seed"]) != run["config_hash"]:
            found.setdefault(run["row"], {})[run["dataset"]] = None
    return [f"`{row}` on {', '.join(names)}" for row, names in found.items()]


def _hash_today(flags: str, seed: int) -> str | None:
    try:
        return config_of(shlex.split(flags), seed).hash()
    except UserError:
        return None
