"""What the figures of the table share: matrices of numbers, short names, titles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from supernet.report.figures.style import BLACK
from supernet.report.words import column_name, dataset_name

SHORT = {
    "clean": "clean",
    "fgsm_3": "FGSM\n3",
    "pgd_3": "PGD\n3",
    "fgsm_8": "FGSM\n8",
    "pgd_8": "PGD\n8",
    "autoattack": "AA\n8",
    "params": "size",
}


def short_name(column: str) -> str:
    """A column's name on an axis: PGD, and its radius below."""
    attack, _, radius = column.rpartition("_")
    if column not in SHORT and attack in ("fgsm", "pgd"):
        return f"{attack.upper()}\n{radius}"
    return SHORT.get(column, column)


def draw_matrix(
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
    bare(axis)


def bare(axis: Axes) -> None:
    """Take the frame, ticks and grid away: a matrix has none."""
    axis.grid(visible=False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def name_of(numbers: dict[str, Any]) -> str:
    """What a result is about: data set and column."""
    return f"{dataset_name(numbers['dataset'])} {column_name(numbers['metric'])} accuracy"


def title_of(numbers: dict[str, Any]) -> str:
    """What a result is about: data set and objectives."""
    names = {"params": "parameters", "flops": "multiply-adds"}
    shown = [names.get(name, column_name(name)) for name in numbers["objectives"]]
    return f"{dataset_name(numbers['dataset'])}, {', '.join(shown)}"
