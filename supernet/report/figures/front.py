"""The front that one search gave, over all cells and the true front of the table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import objective_points, true_front
from supernet.cells.genotype import Genotype
from supernet.report.figures.style import GREEN, VERMILLION, new_figure, save, styled
from supernet.report.words import column_name, dataset_name

_SIZES = {"params": "parameters", "flops": "multiply-adds"}
WORST = 0.05
"""Share of cells that may lie outside of the picture."""
_MILLION, _PER_CENT = 1e6, 0.01


@styled
def found_front(record: Mapping[str, Any], table: Table, path: str | Path | None = None) -> Figure:
    """Size against robustness, and clean against robust performance, of a front.json's cells.

    By the table's accuracies: all cells in grey, the true front over (size, clean, PGD-20 8/255) as
    rings, the first choice of each size as a star, further choices as small ones. The lines are the
    best robust accuracy within a size, of all cells and of the found ones.
    """
    dataset = dataset_name(record["judged_by"])
    figure = new_figure(9.4, 4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    layers = _layers(record, table)
    for axis, column, across in ((left, 0, _MILLION), (right, 1, _PER_CENT)):
        for points, style in layers:
            axis.plot(points[:, column] / across, points[:, 2] / _PER_CENT, **style)
    _staircases(left, layers)
    _zoom(left, right, layers)
    left.set_xlabel(f"{_SIZES[record['size_metric']]} of the stand-alone network (million)")
    left.set_ylabel(f"{column_name('pgd_8')} (%), {dataset}")
    right.set_xlabel(f"clean accuracy (%), {dataset}")
    figure.suptitle(f"Found front among all {table.size:,}", fontsize=12, fontweight="bold")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    if path is not None:
        save(figure, path)
    return figure


Layer = tuple[NDArray[np.float64], dict[str, Any]]
_ALL: dict[str, Any] = dict(marker="o", ms=2.2, mew=0, color="#9AA5B1", alpha=0.5, ls="")
_TRUE: dict[str, Any] = dict(marker="o", ms=9, mfc="none", mec=GREEN, mew=1.4, ls="", zorder=6)
_FIRST: dict[str, Any] = dict(marker="*", ms=10, mfc=VERMILLION, mec="white", ls="", zorder=5)
_FURTHER: dict[str, Any] = dict(marker="*", ms=6, mfc=VERMILLION, mec="white", mew=0.4, ls="",
                                zorder=4)  # fmt: skip


def _layers(record: Mapping[str, Any], table: Table) -> list[Layer]:
    """Points (size, clean, PGD-20 8/255) by the table: all, the true front, first and further
    choices, the last left out where there are none."""
    dataset, size = record["judged_by"], record["size_metric"]
    objectives = (size, "clean", "pgd_8")
    every = objective_points(table, dataset, objectives, cheapest=True)
    true = [c["objectives"] for c in true_front(table, dataset, objectives, cheapest=True)["cells"]]
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    for cell in record["cells"]:
        entry = query_cell(table, Genotype.parse(cell["code"]))
        values = [entry[size], *(entry["results"][dataset][o] for o in objectives[1:])]
        found[cell["place"] == 1].append(values)
    layers = [
        (every, {**_ALL, "rasterized": True, "label": "all cells"}),
        (_array([[c[o] for o in objectives] for c in true]),
         {**_TRUE, "label": f"true front ({len(true)})"}),
        (_array(found[True]), {**_FIRST, "label": f"first choices ({len(found[True])})"}),
    ]  # fmt: skip
    if found[False]:
        label = f"further choices ({len(found[False])})"
        layers.append((_array(found[False]), {**_FURTHER, "label": label}))
    return layers


def _staircases(axis: Axes, layers: list[Layer]) -> None:
    """The best robust accuracy within a size: of all cells, and of the found ones."""
    every, found = layers[0][0], np.concatenate([points for points, _ in layers[2:]])
    for points, colour in ((every, GREEN), (found, VERMILLION)):
        order = np.argsort(points[:, 0], kind="stable")
        sizes = np.append(points[order, 0], every[:, 0].max()) / _MILLION
        best = np.maximum.accumulate(points[order, 2]) / _PER_CENT
        axis.step(sizes, np.append(best, best[-1]), where="post", color=colour, lw=1.2, zorder=2)


def _zoom(left: Axes, right: Axes, layers: list[Layer]) -> None:
    """Leave out the worst cells, some of which only guess, where nothing was found among them."""
    every, found = layers[0][0], np.concatenate([points for points, _ in layers[1:]])
    low = np.minimum(np.quantile(every, WORST, axis=0), found.min(axis=0))
    high = every.max(axis=0)
    pad = 0.04 * (high - low)
    left.set_ylim((low - pad)[2] / _PER_CENT, (high + pad)[2] / _PER_CENT)
    right.set_xlim((low - pad)[1] / _PER_CENT, (high + pad)[1] / _PER_CENT)


def _array(rows: list[list[float]]) -> NDArray[np.float64]:
    return np.asarray(rows, dtype=np.float64).reshape(-1, 3)
