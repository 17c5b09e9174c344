"""The page's section on fronts: those of searches next to those of random cells. No torch."""

import posixpath
from collections.abc import Callable, Sequence
from typing import Any

from supernet.report.markdown import table
from supernet.report.words import points
from supernet.studies.evidence.sentences import count, spread

Record = dict[str, Any]


def section(evidence: Record, runs: dict[str, list[Record]], folder: str) -> list[str]:
    """What the fronts of searches reach of the true one, a line per row; none without fronts.

    `runs` has the records of each row; `folder` is where evidence.json is, seen from the page.
    """
    known = {name: [r["front"] for r in records if r["front"]] for name, records in runs.items()}
    known = {name: fronts for name, fronts in known.items() if fronts}
    if not known:
        return []
    budgets = list(next(iter(known.values()))[0]["regret"])
    header = ["front", "seeds", "cells", "hypervolume", "distance to the true front", "and back"]
    header += [f"regret to {float(budget) / 1e6:g} M" for budget in budgets]
    lines = [_line(name, fronts, budgets) for name, fronts in known.items()]
    lines += [_random_line(f, len(header)) for f in evidence["random_fronts"]]
    return [
        "## Fronts",
        "Every finished search has a front: of each number of parameters, the cell whose operators "
        "gain most, without the network's last cell.\n"
        "The table judges these cells by their values in the benchmark, over (parameters, clean, "
        "PGD-20 8/255).\n"
        "Hypervolume is in % of the true front's; distances are means, in units of the true "
        "front's range; regret is in points of PGD-20 8/255, to the best cell within so many "
        "parameters.\n"
        "Random cells need no search: their lines have the median and, in brackets, the 2.5th and "
        "97.5th percentile of many draws without `none`.",
        table(header, lines, "l" + "r" * (len(header) - 1)),
        *[
            f"![The front of {r['row']}, seed 0]"
            f"({posixpath.join(folder, 'fronts', r['row'])}-seed0.png)"
            for r in runs.get("main", []) if r["seed"] == 0 and r["front"]
        ],
    ]  # fmt: skip


def _line(row: str, fronts: Sequence[Record], budgets: Sequence[str]) -> list[str]:
    def column(name: str, words: Callable[[float], str]) -> str:
        return spread([front[name] for front in fronts], words)

    return [
        f"`{row}`", str(len(fronts)), column("cells", count), column("hypervolume_ratio", points),
        column("generational_distance", _distance),
        column("inverted_generational_distance", _distance),
        *[_regrets([front["regret"][budget] for front in fronts]) for budget in budgets],
    ]  # fmt: skip


def _random_line(front: Record, columns: int) -> list[str]:
    found = [front["name"], "", count(front["cells"]), spread(front["hypervolume_ratio"], points)]
    return found + [""] * (columns - len(found))


def _distance(value: float) -> str:
    return f"{value:.3f}"


def _regrets(values: Sequence[float | None]) -> str:
    """A dash where some seed has no cell that is small enough."""
    known = [value for value in values if value is not None]
    return spread(known, points) if len(known) == len(values) else "-"
