"""The true front among all cells. Points of all cells are pixels in the SVG too: a figure, not a
copy of the table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supernet.benchmark.table import COSTS, Table
from supernet.benchmark.true_front import objective_points
from supernet.report.figures.style import BLACK, GREEN, GREY, new_figure, styled
from supernet.report.figures.table_parts import title_of
from supernet.report.words import column_name


@styled
def front(table: Table, result: dict[str, Any]) -> Figure:
    """The true front among all cells.

    Two accuracies nearly fall on one line, so a second panel enlarges the front's corner; a third
    objective is the colour of the front's cells.
    """
    names = sorted(result["objectives"], key=lambda name: name not in COSTS)
    order = [result["objectives"].index(name) for name in names]
    points = objective_points(
        table, result["dataset"], result["objectives"], cheapest=result["cheapest"]
    )
    everyone = _natural(points[:, order], names)
    best = _natural(
        np.array([[cell["objectives"][name] for name in names] for cell in result["cells"]]), names
    )
    corner = len(names) == 2 and names[0] not in COSTS
    figure = new_figure(9.6 if corner else 7.6, 4.6)
    whole, *enlarged = figure.subplots(1, 2 if corner else 1, squeeze=False).flat
    # With three objectives the middle one, in the order (costs, accuracies), is the colour.
    shown = [0, len(names) - 1]
    for axis in (whole, *enlarged):
        marks = _front_points(axis, everyone[:, shown], best[:, shown],
                              best[:, 1] if len(names) == 3 else None)  # fmt: skip
        axis.set_xlabel(_axis_title(names[0]))
    whole.set_ylabel(_axis_title(names[-1]))
    if len(names) == 3:
        figure.colorbar(marks, ax=whole, label=_axis_title(names[1]))
    for axis in enlarged:
        _enlarge(axis, everyone, best, [cell["code"] for cell in result["cells"]])
    whole.legend(loc="lower right", markerscale=1.2)
    figure.suptitle(f"True front: {title_of(result)}", fontsize=12, fontweight="bold")
    return figure


def _front_points(
    axis: Axes,
    everyone: NDArray[np.float64],
    best: NDArray[np.float64],
    colour: NDArray[np.float64] | None,
) -> Any:
    axis.plot(everyone[:, 0], everyone[:, 1], "o", ms=2.4, mew=0, color="#9AA5B1", alpha=0.5,
              rasterized=True, label=f"all {len(everyone):,} cells")  # fmt: skip
    return axis.scatter(
        best[:, 0],
        best[:, 1],
        s=52,
        c=GREEN if colour is None else colour,
        cmap=None if colour is None else "viridis",
        edgecolors=BLACK,
        linewidths=0.8,
        zorder=4,
        label=f"true front ({len(best)} cells)",
    )


def _enlarge(
    axis: Axes, everyone: NDArray[np.float64], best: NDArray[np.float64], codes: Sequence[str]
) -> None:
    """Limits around the best tenth in both objectives, and the codes of the front's cells."""
    low, high = np.quantile(everyone, 0.9, axis=0), everyone.max(axis=0)
    pad = 0.08 * (high - low)
    axis.set_xlim(low[0], high[0] + pad[0])
    axis.set_ylim(low[1], high[1] + pad[1])
    axis.set_title("best tenth of both, with the cells' codes", fontsize=11)
    # Labels in the empty upper left, in the order of heights, so that their lines do not cross.
    for number, place in enumerate(np.argsort(-best[:, 1], kind="stable")):
        axis.annotate(codes[place], best[place], xytext=(0.42, 0.93 - 0.085 * number),
                      textcoords="axes fraction", fontsize=10, ha="right", va="center",
                      arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.8})  # fmt: skip


def _natural(points: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Costs in millions, accuracies in percent."""
    return points * np.array([1e-6 if name in COSTS else 100.0 for name in names])


def _axis_title(name: str) -> str:
    titles = {"params": "parameters (million)", "flops": "multiply-adds (million)"}
    return titles.get(name, f"{column_name(name)} accuracy (%)")
