"""The front that one search gave, over all cells and the true front of the table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import objective_points, true_front
from supernet.cells.genotype import Genotype
from supernet.report.figures.style import GREEN, VERMILLION, new_figure, save, styled
from supernet.report.words import column_name, dataset_name

_SIZES = {"params": "parameters", "flops": "multiply-adds"}
_MILLION, _PER_CENT = 1e6, 0.01


@styled
def found_front(record: Mapping[str, Any], table: Table, path: str | Path | None = None) -> Figure:
    """Size against robustness, and clean against robust performance, of a front.json's cells.

    By the table's accuracies: all cells in grey, the true front over (size, clean, PGD-20 8/255) as
    rings, the found cells as stars.
    """
    dataset = dataset_name(record["judged_by"])
    figure = new_figure(9.4, 4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for axis, column, across in ((left, 0, _MILLION), (right, 1, _PER_CENT)):
        for points, style in _layers(record, table):
            axis.plot(points[:, column] / across, points[:, 2] / _PER_CENT, **style)
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
_TRUE: dict[str, Any] = dict(marker="o", ms=7, mfc="none", mec=GREEN, mew=1.6, ls="", zorder=3)
_FOUND: dict[str, Any] = dict(marker="*", ms=11, mfc=VERMILLION, mec="white", ls="", zorder=4)


def _layers(record: Mapping[str, Any], table: Table) -> list[Layer]:
    """Points (size, clean, PGD-20 8/255) by the table."""
    dataset, size = record["judged_by"], record["size_metric"]
    objectives = (size, "clean", "pgd_8")
    every = objective_points(table, dataset, objectives, cheapest=True)
    true = [c["objectives"] for c in true_front(table, dataset, objectives, cheapest=True)["cells"]]
    found = [query_cell(table, Genotype.parse(cell["code"])) for cell in record["cells"]]
    return [
        (every, {**_ALL, "rasterized": True, "label": "all cells"}),
        (_array([[c[o] for o in objectives] for c in true]),
         {**_TRUE, "label": f"true front ({len(true)})"}),
        (_array([[e[size], *(e["results"][dataset][o] for o in objectives[1:])] for e in found]),
         {**_FOUND, "label": f"found ({len(found)})"}),
    ]  # fmt: skip


def _array(rows: list[list[float]]) -> NDArray[np.float64]:
    return np.asarray(rows, dtype=np.float64).reshape(-1, 3)
