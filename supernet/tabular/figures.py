"""Figures of the table's statistics, fronts, comparisons and searches.

Legend: E edges, O operators. Points of all cells are pixels in the SVG too: a figure, not a copy of
the table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from supernet.benchmark import CLASSES, COLUMNS, COSTS, Table
from supernet.figures.style import (
    BLACK,
    BLUE,
    EDGE_LABELS,
    GREEN,
    GREY,
    OP_LABELS,
    ORANGE,
    PURPLE,
    VERMILLION,
    new_figure,
    styled,
)
from supernet.tabular.front import objective_points
from supernet.tabular.standard import StandardTable
from supernet.tabular.text import COLUMN_TITLES, DATASET_TITLES

OPS = [OP_LABELS[op] for op in range(len(OP_LABELS))]
_SHORT = {
    "clean": "clean",
    "fgsm_3": "FGSM\n3",
    "pgd_3": "PGD\n3",
    "fgsm_8": "FGSM\n8",
    "pgd_8": "PGD\n8",
    "autoattack": "AA\n8",
    "params": "size",
}
_REGIONS = {"all": "all cells", "top_10": "best 10 %", "top_1": "best 1 %"}
_BANDS = "light: 10 to 90 % of runs; dark: 95 % of the mean"
_METHODS: dict[str, tuple[str, str, Any]] = {
    "random": ("random search", GREY, "--"),
    "local": ("local search", ORANGE, "-."),
    "evolution": ("regularised evolution", BLUE, "-"),
    "nsga2": ("NSGA-II", VERMILLION, "-"),
}


@styled
def boxes(statistics: dict[str, Any], cells: int) -> Figure:
    """Box plots of every column on every data set, with the accuracy of guessing."""
    figure = new_figure(11, 4.2)
    for axis, (dataset, columns) in zip(figure.subplots(1, 3), statistics.items(), strict=True):
        drawn = [
            {
                "med": 100 * box["median"],
                "q1": 100 * box["q1"],
                "q3": 100 * box["q3"],
                "whislo": 100 * box["whisker_low"],
                "whishi": 100 * box["whisker_high"],
                "fliers": [100 * box["min"], 100 * box["max"]],
                "label": _SHORT[column],
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
        chance = 100 / CLASSES[dataset]
        axis.axhline(chance, color=VERMILLION, ls="--", lw=1.2, label=f"guessing ({chance:.2g} %)")
        axis.set_title(DATASET_TITLES[dataset])
        axis.grid(axis="x", visible=False)
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper right", fontsize=9)
    figure.axes[0].set_ylabel("accuracy (%)")
    figure.suptitle(
        f"Adversarially trained cells (n = {cells:,}): clean, and attacked at 3/255 and 8/255 "
        "(outer dashes: minimum and maximum)",
        fontsize=12,
    )
    return figure


@styled
def column_correlations(correlations: dict[str, Any], dataset: str, cells: int) -> Figure:
    """Spearman between columns of one data set, in all cells and in each row's top region."""
    labels = [_SHORT[name].replace("\n", " ") for name in correlations["columns"]]
    matrices = correlations["between_columns"][dataset]["spearman"]
    figure = new_figure(12.4, 4.6)
    for axis, (region, title) in zip(figure.subplots(1, 3), _REGIONS.items(), strict=True):
        _matrix(axis, matrices[region], labels, labels, fontsize=8.5)
        axis.set_title(title if region == "all" else f"{title} by the row's column")
        if region != "all":
            axis.set_yticklabels([])
    figure.suptitle(
        f"Spearman correlation between columns, {DATASET_TITLES[dataset]} (n = {cells:,}); "
        "size: parameters",
        fontsize=12,
    )
    return figure


@styled
def dataset_correlations(correlations: dict[str, Any], cells: int) -> Figure:
    """Spearman between data sets for every column, in all cells and in each row's top region."""
    labels = ["C10", "C100", "IN16"]
    figure = new_figure(11.5, 6.6)
    axes = figure.subplots(len(_REGIONS), len(COLUMNS))
    for row, (region, title) in zip(axes, _REGIONS.items(), strict=True):
        for axis, column in zip(row, COLUMNS, strict=True):
            matrix = correlations["between_datasets"][column]["spearman"][region]
            _matrix(axis, matrix, labels, labels, fontsize=9.5, rotation=0)
            if region == "all":
                axis.set_title(COLUMN_TITLES[column], fontsize=10.5)
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


def _matrix(
    axis: Axes,
    matrix: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    fontsize: float,
    rotation: float = 90,
) -> None:
    """A correlation matrix as colours and numbers, from -1 (vermillion) over white to 1 (blue)."""
    values = np.array([[np.nan if v is None else v for v in line] for line in matrix])
    axis.imshow(values, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}".replace("0.", ".", 1)
        # On the diagonal 1 is exact; elsewhere 1.0 is rounded.
        text = "1.0" if 0.995 < value < 1 - 1e-9 else "1" if value > 0.995 else text
        colour = "white" if abs(value) > 0.55 else BLACK
        axis.text(j, i, text, ha="center", va="center", fontsize=fontsize, color=colour)
    axis.set_xticks(range(len(columns)), columns, rotation=rotation, fontsize=9.5)
    axis.set_yticks(range(len(rows)), rows, fontsize=9.5)
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.grid(visible=False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


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
        _bare(axis)
    axes[0].set_ylabel("edge (from → to)")
    figure.suptitle(f"Operator on each edge (%), cells ordered by {_name(shares)}", fontsize=12)
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
        _bare(axis)
    figure.supylabel("replaced operator", fontsize=11)
    figure.supxlabel("new operator", fontsize=11)
    figure.suptitle(
        f"Mean change of {_name(effects)} in percentage points "
        f"(over all {effects['settings']:,} settings of the other edges)",
        fontsize=12,
    )
    return figure


def _name(numbers: dict[str, Any]) -> str:
    return f"{DATASET_TITLES[numbers['dataset']]} {COLUMN_TITLES[numbers['metric']]} accuracy"


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
    figure.suptitle(f"True front: {_title_of(result)}", fontsize=12, fontweight="bold")
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


def _title_of(numbers: dict[str, Any]) -> str:
    names = {"params": "parameters", "flops": "multiply-adds"}
    shown = [names.get(name, COLUMN_TITLES[name]) for name in numbers["objectives"]]
    return f"{DATASET_TITLES[numbers['dataset']]}, {', '.join(shown)}"


def _natural(points: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Costs in millions, accuracies in percent."""
    return points * np.array([1e-6 if name in COSTS else 100.0 for name in names])


def _axis_title(name: str) -> str:
    titles = {"params": "parameters (million)", "flops": "multiply-adds (million)"}
    return titles.get(name, f"{COLUMN_TITLES[name]} accuracy (%)")


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
    axis.set_ylabel(f"best {_name(single)} (%)")
    axis.set_title(f"Searches for {_name(single)}, n = {single['seeds']} seeds")
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
    axis.set_title(f"{_title_of(multi)}, n = {multi['seeds']} seeds")
    axis.legend(loc="lower right", title=_BANDS, title_fontsize=9.5)
    return figure


def _curve(axis: Axes, x: ArrayLike, result: dict[str, Any], method: str, factor: float) -> None:
    title, colour, line = _METHODS[method]
    bands = {name: factor * np.array(values) for name, values in result.items()}
    axis.fill_between(x, bands["p10"], bands["p90"], color=colour, alpha=0.14, lw=0)
    axis.fill_between(x, bands["ci_low"], bands["ci_high"], color=colour, alpha=0.4, lw=0)
    axis.plot(x, bands["mean"], ls=line, color=colour, lw=1.8, label=title)


@styled
def comparison(table: Table, standard: StandardTable, result: dict[str, Any]) -> Figure:
    """Standard-trained against adversarially trained: clean, attacked, and rank correlations."""
    dataset = result["dataset"]
    figure = new_figure(12.2, 4.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.35))
    for axis, theirs, ours in ((left, "clean", "clean"), (middle, "pgd", "pgd_8")):
        x, y = 100 * standard.values(dataset, theirs), 100 * table.values(dataset, ours)
        axis.plot(x, y, "o", ms=2.4, mew=0, color=BLUE, alpha=0.35, rasterized=True)
        axis.set_xlabel(f"standard training: {theirs.upper() if theirs == 'pgd' else theirs} (%)")
        axis.set_ylabel(f"adversarial training: {COLUMN_TITLES[ours]} (%)")
        i, j = COLUMNS.index(ours), result["standard_columns"].index(theirs)
        rho = [result["spearman"][region][i][j] for region in ("all", "top_10")]
        axis.set_title(f"Spearman {rho[0]:.2f}, best 10 %: {rho[1]:.2f}", fontsize=11)
    columns = [c.removeprefix("aa_").upper() for c in result["standard_columns"]]
    columns = [{"CLEAN": "clean", "SQUARE": "Square", "CORR": "corr."}.get(c, c) for c in columns]
    labels = [_SHORT[c].replace("\n", " ") for c in COLUMNS]
    _matrix(right, result["spearman"]["top_10"], labels, columns, fontsize=9.5, rotation=40)
    right.set_title("Spearman in the row's best 10 %", fontsize=11)
    right.set_xlabel("standard training")
    right.set_ylabel("adversarial training")
    figure.suptitle(
        f"{DATASET_TITLES[dataset]}: the same {table.size:,} cells, trained in two ways",
        fontsize=12,
    )
    return figure
