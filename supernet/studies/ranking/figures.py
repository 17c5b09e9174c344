"""Pictures of a ranking: each score against the truth, and all coefficients with intervals."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from supernet.benchmark.correlation import sort_value
from supernet.report.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    VERMILLION,
    new_figure,
    save,
    styled,
)
from supernet.report.words import column_name, dataset_name

Array = NDArray[np.float64]
PANELS_ACROSS = 4
LINES = ("-", (0, (4, 2)), (0, (1, 1.5)))
COLOURS = (BLUE, VERMILLION, BLACK, ORANGE)


def column_label(column: str) -> str:
    """A column in words."""
    of, _, name = column.rpartition(":")
    words = "clean accuracy" if name == "clean" else column_name(name)
    if of == "standard":
        return f"{words}, standard-trained"
    return f"{words}, {dataset_name(of)}" if of else words


@styled
def draw_scatter(
    scores: Mapping[str, Array],
    truth_n: Array,
    random_n: NDArray[np.bool_],
    rows: Mapping[str, Any],
    column: str,
    path: Path | None = None,
) -> Figure:
    """Small multiples: a score's rank among the cells (1 = lowest) against accuracy in percent.

    Ranks, because rank correlations are what is claimed and sentinels lie far outside the rest.
    `random_n` marks the random cells, which tau is of; the others were added from the top.
    """
    across = min(PANELS_ACROSS, len(scores))
    down = math.ceil(len(scores) / across)
    figure = new_figure(2.9 * across, 2.3 * down + 0.9)
    panels = figure.subplots(down, across, sharey=True, sharex=True, squeeze=False).flatten()
    for panel, (name, score) in zip(panels, scores.items(), strict=False):
        rank, percent = stats.rankdata(score), 100 * truth_n
        options: dict[str, Any] = {"linestyle": "", "markersize": 4.5, "markeredgewidth": 0}
        panel.plot(
            rank[random_n], percent[random_n], marker="o", color=BLUE, alpha=0.45,
            label="random cells", **options,
        )  # fmt: skip
        if not random_n.all():
            panel.plot(
                rank[~random_n], percent[~random_n], marker="D", color=ORANGE, alpha=0.6,
                label="added from the top 10 %", **options,
            )  # fmt: skip
        value = rows[name]["all"]["kendall"]["value"]
        words = name.replace("+", "\n+ ")
        # Adding 0 makes a rounded -0.0 positive.
        tau = "" if value is None else f"  τ = {round(value, 2) + 0.0:.2f}"
        panel.set_title(words + tau, fontsize=9 if "\n" in words else 10)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.tick_params(labelsize=9)
    for panel in panels[len(scores) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(scores) - across) : len(scores)]:
        panel.tick_params(labelbottom=True)
    if not random_n.all():
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.supxlabel("rank of the cell by the score (right is better)", fontsize=11)
    figure.supylabel(f"{column_label(column)}, %", fontsize=11)
    if path is not None:
        save(figure, path)
    return figure


@styled
def draw_coefficients(rows: Mapping[str, Any], column: str, path: Path | None = None) -> Figure:
    """Kendall's tau of every row with its interval: over all cells, and inside the top 10 %."""
    names = sorted(rows, key=lambda name: sort_value(rows[name]["all"]["kendall"]["value"]))
    figure = new_figure(7.6, 1.5 + 0.3 * len(names))
    axes = figure.subplots()
    for region, shift, colour, marker, words in (
        ("all", 0.14, BLUE, "o", "all cells"),
        ("top_10", -0.14, VERMILLION, "D", "top 10 %"),
    ):
        found = [(n, rows[name][region]["kendall"]) for n, name in enumerate(names)]
        found = [(n, k) for n, k in found if k["value"] is not None and k["low"] is not None]
        if not found:
            continue
        values, low, high = (np.array([k[p] for _, k in found]) for p in ("value", "low", "high"))
        count = found[0][1]["n"]
        # A resampled interval need not hold the value itself where ties abound.
        errors = np.maximum(0, [values - low, high - values])
        axes.errorbar(
            values, [n + shift for n, _ in found], xerr=errors, fmt=marker, color=colour,
            markersize=5, elinewidth=1.4, label=f"{words} (n = {count})",
        )  # fmt: skip
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"Kendall's τ with {column_label(column)}, 95 % bootstrap intervals")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    if path is not None:
        save(figure, path)
    return figure


@styled
def draw_spectra(spectra: Mapping[str, Mapping[str, Tensor]], path: Path | None = None) -> Figure:
    """Eigenvalues of kernels, largest first: one panel per cell, one line per kernel.

    spectra[cell][kernel] is rising, as `supernet.proxies.ntk_scores.spectrum` gives it.
    """
    figure = new_figure(3.2 * len(spectra) + 0.8, 3.4)
    panels = figure.subplots(1, len(spectra), sharey=True, squeeze=False).flatten()
    for panel, (cell, kernels) in zip(panels, spectra.items(), strict=True):
        for number, (kernel, values) in enumerate(kernels.items()):
            falling = values.flip(0).cpu().numpy()
            positive = falling[falling > 0]
            panel.plot(
                np.arange(1, len(positive) + 1), positive, color=COLOURS[number % 4],
                linestyle=LINES[number % 3], label=kernel, linewidth=1.8,
            )  # fmt: skip
        panel.set_yscale("log")
        panel.set_title(cell, fontsize=10)
        panel.set_xlabel("eigenvalue, largest first")
    panels[0].set_ylabel("size")
    panels[0].legend(fontsize=9)
    if path is not None:
        save(figure, path)
    return figure
