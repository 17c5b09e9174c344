"""Where cells lie among all 6,466 of the benchmark."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    new_figure,
    save,
    styled,
)
from supernet.report.words import column_name, dataset_name

_MARKERS = ("*", "s", "D", "^", "v", "P")
_COLOURS = (VERMILLION, BLUE, BLACK, ORANGE, PURPLE, GREEN)
TOP_SHARE = 0.1


@styled
def scatter_in_benchmark(
    table: Table,
    cells: Mapping[str, Genotype],
    dataset: str,
    path: str | Path | None = None,
    *,
    column: str = "pgd_8",
) -> Figure:
    """Clean against robust accuracy of all cells; `cells` (label -> cell) and the front marked.

    The left panel shows all 6,466, the right one enlarges the best tenth by the robust column: in
    the whole picture the two accuracies nearly fall on one line. The first label is drawn largest.
    """
    x = 100 * np.asarray(table.values(dataset, "clean"))
    y = 100 * np.asarray(table.values(dataset, column))
    figure = new_figure(9.4, 4.5)
    whole, top = figure.subplots(1, 2)
    for axis in (whole, top):
        axis.plot(x, y, "o", ms=2.2, mew=0, color="#9AA5B1", alpha=0.5, rasterized=True)
        _mark_front(axis, x, y)
        _mark_cells(axis, table, cells, dataset, column)
        axis.set_xlabel(f"clean accuracy (%), {dataset_name(dataset)}")
    whole.set_ylabel(f"accuracy under {column_name(column)} (%)")
    whole.set_title(f"All {len(x):,} cells")
    low_y = float(np.quantile(y, 1 - TOP_SHARE))
    inside = y >= low_y
    if inside.sum() < 2:  # a table of few cells
        inside[:], low_y = True, float(y.min())
    pad_x, pad_y = 0.06 * np.ptp(x[inside]), 0.06 * (y.max() - low_y)
    top.set_xlim(x[inside].min() - pad_x, x[inside].max() + pad_x)
    top.set_ylim(low_y - pad_y, y.max() + pad_y)
    top.set_title(f"Best tenth by {column_name(column)}")
    handles, labels = whole.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    if path is not None:
        save(figure, path)
    return figure


@styled
def front_scatter(
    table: Table,
    found: Sequence[Genotype],
    dataset: str,
    path: str | Path | None = None,
    *,
    column: str = "pgd_8",
) -> Figure:
    """Parameters against robust accuracy: all cells, the true front, and the cells that were found.

    The front is that of (fewest parameters, highest accuracy); a staircase, since between two of
    its cells nothing better is to be had.
    """
    params = table.costs("params") / 1e6
    y = 100 * np.asarray(table.values(dataset, column))
    figure = new_figure(7.0, 4.4)
    axis = figure.add_subplot()
    axis.plot(params, y, "o", ms=2.2, mew=0, color="#9AA5B1", alpha=0.5, rasterized=True)
    front = front_of(-params, y)
    # Past the front's largest cell more parameters buy nothing: the staircase goes on level.
    steps_x, steps_y = [*params[front], params.max()], [*y[front], y.max()]
    axis.step(steps_x, steps_y, where="post", color=GREEN, lw=1.6, label="true front", zorder=3)
    axis.plot(params[front], y[front], "o", ms=4.5, color=GREEN, zorder=3)
    found_x = [cell.params() / 1e6 for cell in found]
    found_y = [100 * query_cell(table, cell)["results"][dataset][column] for cell in found]
    axis.plot(
        found_x, found_y, "*", ms=13, mfc=VERMILLION, mec="white", ls="", label="found", zorder=5
    )
    axis.set_xlabel("parameters of the stand-alone network (million)")
    axis.set_ylabel(f"{column_name(column)}, {dataset_name(dataset)} (%)")
    axis.set_title(f"Found cells among all {len(y):,}")
    axis.legend(loc="lower right")
    if path is not None:
        save(figure, path)
    return figure


def front_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[int]:
    """Rows that no other row beats in both (larger is better), by falling x. Of ties, one stays."""
    rows: list[int] = []
    for row in np.lexsort((-y, -x)):
        if not rows or y[row] > y[rows[-1]]:
            rows.append(int(row))
    return rows


def _mark_front(axis: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    rows = front_of(x, y)
    axis.plot(
        x[rows], y[rows], "o", ms=9, mfc="none", mec=GREEN, mew=1.8, ls="", zorder=4,
        label=f"true front ({len(rows)} cells)",
    )  # fmt: skip


def _mark_cells(
    axis: Axes, table: Table, cells: Mapping[str, Genotype], dataset: str, column: str
) -> None:
    for number, (label, cell) in enumerate(cells.items()):
        values = query_cell(table, cell)["results"][dataset]
        axis.plot(
            100 * values["clean"],
            100 * values[column],
            _MARKERS[number % len(_MARKERS)],
            ms=15 if number == 0 else 8,
            mfc=_COLOURS[number % len(_COLOURS)],
            mec="white",
            ls="",
            zorder=6 - number * 0.1,
            label=label,
        )
