"""Learning curves of a search or of a stand-alone training, from the lines of metrics.jsonl."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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

# title, y label, factor, and per curve: metric, label, colour, line
Curve = tuple[str, str, str, Any]
Panel = tuple[str, str, float, tuple[Curve, ...]]
DASHED, DOTTED = (0, (5, 2)), (0, (1, 1.5))
PANELS: tuple[Panel, ...] = (
    (
        "Loss",
        "cross-entropy",
        1.0,
        (
            ("train_loss", "weight half, as trained", BLACK, "-"),
            ("alpha_clean_loss", "alpha half, clean", BLUE, DASHED),
            ("alpha_robust_loss", "alpha half, attacked", VERMILLION, DOTTED),
        ),
    ),
    (
        "Accuracy of the mixture, alpha half",
        "accuracy (%)",
        100.0,
        (
            ("val_clean_acc", "clean", BLUE, "-"),
            ("val_robust_acc", "under PGD", VERMILLION, DASHED),
            ("val_train_attack_acc", "under the training attack", BLACK, DOTTED),
        ),
    ),
    (
        "Edge weights",
        "share",
        1.0,
        (
            ("entropy", "entropy (1 = uniform)", PURPLE, "-"),
            ("skip_share", "edges led by skip", GREEN, DASHED),
        ),
    ),
    (
        "Angle of clean and robust gradient",
        "degrees",
        1.0,
        (("conflict_angle_deg", "mean of the epoch", ORANGE, "-"),),
    ),
)


@styled
def training_curves(
    records: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    panels: Sequence[Panel] = PANELS,
) -> Figure:
    """One panel per group of metrics that the records hold; absent metrics leave no empty panel.

    Raises: ValueError when no record holds any of the metrics.
    """
    shown = [
        panel for panel in panels if any(_values(records, curve[0])[1].size for curve in panel[3])
    ]
    if not shown:
        raise ValueError("the records hold none of the metrics that are drawn")
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(4.6 * columns, 2.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel, axis in zip(shown, axes.flat, strict=False):
        _draw_panel(axis, panel, records)
    for axis in list(axes.flat)[len(shown) :]:
        axis.set_visible(False)
    if path is not None:
        save(figure, path)
    return figure


def _draw_panel(axis: Axes, panel: Panel, records: Sequence[Mapping[str, Any]]) -> None:
    title, label, factor, curves = panel
    for metric, name, colour, line in curves:
        x, y = _values(records, metric)
        if y.size:
            marker = "o" if y.size == 1 else ""
            axis.plot(x, factor * y, color=colour, ls=line, lw=2, marker=marker, label=name)
    axis.set_title(title)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axis.set_ylabel(label)
    if factor == 100.0:
        axis.set_ylim(0, 100)
    axis.legend(loc="best", fontsize=9.5, handlelength=2.8)


def _values(records: Sequence[Mapping[str, Any]], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of a metric, without the epochs where it is absent or null."""
    pairs = [
        (record.get("epoch", number), record[metric])
        for number, record in enumerate(records, start=1)
        if record.get(metric) is not None
    ]
    x, y = zip(*pairs, strict=True) if pairs else ((), ())
    return np.asarray(x, dtype=float), np.asarray(y, dtype=float)
