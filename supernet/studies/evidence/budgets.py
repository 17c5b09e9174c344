"""The page's section on budgets: regret within each, next to rows without search. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from supernet.report.markdown import table
from supernet.report.words import points
from supernet.studies.evidence.numbers import spread
from supernet.studies.evidence.selection import Record, records_of

FREE = {
    "largest": "one of the largest cells that fit (expected)",
    "prior": "the prior's best that fits",
}


def section(evidence: Mapping[str, Any]) -> list[str]:
    """What searches and rows without a search reach within each budget, a table per data set."""
    return [
        "## Within a budget",
        "`--max-params` restricts every proposal and every move.\n"
        "The table has the regret within the budget: how many points of PGD-20 8/255 the answer "
        "lacks to the best cell of the benchmark that fits.\n"
        "Within a budget the answer may hold `none`: fewer edges make room for larger ones.\n"
        "Parameters are those of the cell's own network for the data set's classes.\n"
        "The answer is the best cell by scores, whatever the seed and the supernet; in the row "
        "`trained-budgets` short trainings choose.",
        *[_table(evidence, images) for images in evidence["images"]],
    ]


def _table(evidence: Mapping[str, Any], images: Record) -> str:
    budgets = evidence["budgets"][images["name"]]
    rows = [
        row["name"]
        for row in evidence["plan"]
        if row["budgets"] and images["name"] in row["images"]
    ]
    lines = [_searched(evidence, images["name"], name, list(budgets)) for name in rows]
    lines += [
        [words, "", *[points(known[name]) for known in budgets.values()]]
        for name, words in FREE.items()
    ]  # fmt: skip
    return table((images["words"], "seeds", *budgets), lines)


def _searched(
    evidence: Mapping[str, Any], dataset: str, row: str, budgets: Sequence[str]
) -> list[str]:
    """The regrets of a row, a dash within a budget that no seed has been run with."""
    found = [records_of(evidence, dataset, row, budget=budget) for budget in budgets]
    seeds = sorted({len(records) for records in found if records}) or [0]
    return [
        f"`{row}`", " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))),
        *[spread([r["regret_within"] for r in some], points) if some else "-" for some in found],
    ]  # fmt: skip
