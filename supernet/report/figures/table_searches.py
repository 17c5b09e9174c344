"""What searches reach against their number of queries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from supernet.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    new_figure,
    styled,
)
from supernet.report.figures.table_parts import name_of, title_of

_BANDS = "light: 10 to 90 % of runs; dark: 95 % of the mean"
_METHODS: dict[str, tuple[str, str, Any]] = {
    "random": ("random search", GREY, "--"),
    "local": ("local search", ORANGE, "-."),
    "evolution": ("regularised evolution", BLUE, "-"),
    "nsga2": ("NSGA-II", VERMILLION, "-"),
}


@styled
def searches(single: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Figure:
    """Best accuracy found against number of queries: mean, its 95 % interval, and the deciles."""
    figure = new_figure(7.6, 4.8)
    axis = figure.add_subplot()
    queries = np.arange(1, single["queries"] + 1)
    for method, result in single["methods"].items():
        _curve(axis, queries, result, method, 100)
    axis.plot(queries, 100 * np.array(single["expected_best_of_random"]), ":", color=BLACK, lw=1.6,
              label="random, closed form")  # fmt: skip
    axis.axhline(100 * single["best"], color=GREEN, lw=1, label="best of 6,466")
    conv = rows[0]["results"][single["dataset"]][single["metric"]]
    axis.axhline(100 * conv, color=PURPLE, ls=(0, (4, 1.5, 1, 1.5)), lw=1.4, label="all 3×3")
    finals = [
        100 * result["p10"][min(9, len(queries) - 1)] for result in single["methods"].values()
    ]
    axis.set_ylim(min(finals, default=100 * conv - 4), 100 * single["best"] + 0.3)
    axis.set_xlim(0, single["queries"])
    axis.set_xlabel(f"queries (what counts: {single['count']})")
    axis.set_ylabel(f"best {name_of(single)} (%)")
    axis.set_title(f"Searches for {name_of(single)}, n = {single['seeds']} seeds")
    axis.legend(loc="lower right", fontsize=9.5, title=_BANDS, title_fontsize=9.5)
    return figure


@styled
def hypervolumes(multi: dict[str, Any]) -> Figure:
    """Share of the true front's hypervolume against number of queries."""
    figure = new_figure(7.6, 4.6)
    axis = figure.add_subplot()
    for method, result in multi["methods"].items():
        _curve(axis, np.array(multi["queries"]), result, method, 100)
    axis.axhline(100, color=GREEN, lw=1, label="true front")
    axis.set_xlabel("queries (every evaluation)")
    axis.set_xlim(0, multi["queries"][-1])
    axis.set_ylabel("hypervolume (% of the true front's)")
    axis.set_title(f"{title_of(multi)}, n = {multi['seeds']} seeds")
    axis.legend(loc="lower right", title=_BANDS, title_fontsize=9.5)
    return figure


def _curve(axis: Axes, x: ArrayLike, result: dict[str, Any], method: str, factor: float) -> None:
    title, colour, line = _METHODS[method]
    bands = {name: factor * np.array(values) for name, values in result.items()}
    axis.fill_between(x, bands["p10"], bands["p90"], color=colour, alpha=0.14, lw=0)
    axis.fill_between(x, bands["ci_low"], bands["ci_high"], color=colour, alpha=0.4, lw=0)
    axis.plot(x, bands["mean"], ls=line, color=colour, lw=1.8, label=title)
