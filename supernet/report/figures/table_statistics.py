"""Figures of the statistics: boxes, correlations, operators of good and bad cells, replacements."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from supernet.report.figures.style import (
    BLACK,
    BLUE,
    EDGE_LABELS,
    GREY,
    OP_LABELS,
    VERMILLION,
    new_figure,
    styled,
)
from supernet.report.figures.table_parts import bare, draw_matrix, name_of, short_name
from supernet.report.words import column_name, dataset_name

OPS = [OP_LABELS[op] for op in range(len(OP_LABELS))]
_REGIONS = {"all": "all cells", "top_10": "best 10 %", "top_1": "best 1 %"}


@styled
def boxes(statistics: dict[str, Any], cells: int) -> Figure:
    """Box plots of every column on every data set, with the accuracy of guessing."""
    figure = new_figure(11, 4.2)
    panels = figure.subplots(1, len(statistics), squeeze=False)[0]
    for axis, (dataset, columns) in zip(panels, statistics.items(), strict=True):
        drawn = [
            {
                "med": 100 * box["median"],
                "q1": 100 * box["q1"],
                "q3": 100 * box["q3"],
                "whislo": 100 * box["whisker_low"],
                "whishi": 100 * box["whisker_high"],
                "fliers": [100 * box["min"], 100 * box["max"]],
                "label": short_name(column),
            }
            for column, box in columns.items()
        ]
        axis.bxp(
            drawn,
            widths=0.6,
            patch_artist=True,
            boxprops={"facecolor": "#CFE3F2", "edgecolor": BLUE},
            medianprops={"color": BLACK, "lw": 1.6},
            whiskerprops={"color": BLUE},
            capprops={"color": BLUE},
            flierprops={"marker": "_", "markeredgecolor": GREY, "markersize": 7},
        )
        chance = 100 * next(iter(columns.values()))["chance"]
        axis.axhline(chance, color=VERMILLION, ls="--", lw=1.2, label=f"guessing ({chance:.2g} %)")
        axis.set_title(dataset_name(dataset))
        axis.grid(axis="x", visible=False)
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper right", fontsize=9)
    figure.axes[0].set_ylabel("accuracy (%)")
    figure.suptitle(
        f"Adversarially trained cells (n = {cells:,}), clean and attacked "
        "(outer dashes: minimum and maximum)",
        fontsize=12,
    )
    return figure


@styled
def column_correlations(correlations: dict[str, Any], dataset: str, cells: int) -> Figure:
    """Spearman between columns of one data set, in all cells and in each row's top region."""
    labels = [short_name(name).replace("\n", " ") for name in correlations["columns"]]
    matrices = correlations["between_columns"][dataset]["spearman"]
    figure = new_figure(12.4, 4.6)
    for axis, (region, title) in zip(figure.subplots(1, 3), _REGIONS.items(), strict=True):
        draw_matrix(axis, matrices[region], labels, labels, fontsize=8.5)
        axis.set_title(title if region == "all" else f"{title} by the row's column")
        if region != "all":
            axis.set_yticklabels([])
    figure.suptitle(
        f"Spearman correlation between columns, {dataset_name(dataset)} (n = {cells:,}); "
        "size: parameters",
        fontsize=12,
    )
    return figure


@styled
def dataset_correlations(correlations: dict[str, Any], cells: int) -> Figure:
    """Spearman between data sets for every column, in all cells and in each row's top region."""
    labels = ["C10", "C100", "IN16"]
    figure = new_figure(11.5, 6.6)
    columns = list(correlations["between_datasets"])
    axes = figure.subplots(len(_REGIONS), len(columns))
    for row, (region, title) in zip(axes, _REGIONS.items(), strict=True):
        for axis, column in zip(row, columns, strict=True):
            matrix = correlations["between_datasets"][column]["spearman"][region]
            draw_matrix(axis, matrix, labels, labels, fontsize=9.5, rotation=0)
            if region == "all":
                axis.set_title(column_name(column), fontsize=10.5)
            if axis is row[0]:
                axis.set_ylabel(title if region == "all" else f"{title} by row", fontweight="bold")
            else:
                axis.set_yticklabels([])
            if region != "top_1":
                axis.set_xticklabels([])
    figure.suptitle(
        "Spearman correlation between data sets: CIFAR-10, CIFAR-100, ImageNet16-120 "
        f"(n = {cells:,})",
        fontsize=12,
    )
    return figure


@styled
def operator_shares(shares: dict[str, Any]) -> Figure:
    """How often each operator sits on each edge, from the worst cells to the best."""
    titles = {
        "worst_1": "worst 1 %",
        "worst_10": "worst 10 %",
        "all": "all",
        "best_10": "best 10 %",
        "best_1": "best 1 %",
    }
    figure = new_figure(12.4, 3.9)
    axes = figure.subplots(1, len(titles))
    for axis, (region, title) in zip(axes, titles.items(), strict=True):
        values = 100 * np.array(shares["regions"][region])
        axis.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for (edge, op), value in np.ndenumerate(values):
            colour = "white" if value > 55 else BLACK
            axis.text(op, edge, f"{value:.0f}", ha="center", va="center", fontsize=10, color=colour)
        axis.set_xticks(range(len(OPS)), OPS, rotation=60, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(EDGE_LABELS)), EDGE_LABELS if axis is axes[0] else [])
        axis.set_title(f"{title} (n = {shares['cells'][region]:,})", fontsize=10.5)
        bare(axis)
    axes[0].set_ylabel("edge (from → to)")
    figure.suptitle(f"Operator on each edge (%), cells ordered by {name_of(shares)}", fontsize=12)
    return figure


@styled
def replacement_effects(effects: dict[str, Any]) -> Figure:
    """Mean change in accuracy when the row's operator is replaced by the column's, per edge."""
    means = 100 * np.array(effects["mean"])
    limit = np.abs(means).max()
    figure = new_figure(10.2, 6.6)
    axes = figure.subplots(2, 3)
    for edge, axis in enumerate(axes.flat):
        axis.imshow(means[edge], cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        for (a, b), value in np.ndenumerate(means[edge]):
            if a == b:
                continue
            colour = "white" if abs(value) > 0.65 * limit else BLACK
            axis.text(b, a, f"{value:+.1f}", ha="center", va="center", fontsize=10, color=colour)
        axis.set_title(f"edge {EDGE_LABELS[edge]}")
        last_row, first_column = edge >= 3, edge % 3 == 0
        axis.set_xticks(range(5), OPS if last_row else [], rotation=60, ha="right",
                        rotation_mode="anchor")  # fmt: skip
        axis.set_yticks(range(5), OPS if first_column else [])
        bare(axis)
    figure.supylabel("replaced operator", fontsize=11)
    figure.supxlabel("new operator", fontsize=11)
    figure.suptitle(
        f"Mean change of {name_of(effects)} in percentage points "
        f"(over all {effects['settings']:,} settings of the other edges)",
        fontsize=12,
    )
    return figure
