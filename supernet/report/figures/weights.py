"""Edge weights: as a heat map at one moment, as curves over the search."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ops.space import NONE, NUM_EDGES, NUM_OPS
from supernet.report.figures.style import (
    EDGE_LABELS,
    GREY,
    OP_COLOURS,
    OP_LABELS,
    OP_LINES,
    VERMILLION,
    new_figure,
    save,
    small_figure,
    styled,
)


@styled
def heatmap(
    w_EO: ArrayLike,
    taken: Sequence[int],
    path: str | Path | None = None,
    *,
    none: bool = False,
    small: bool = False,
) -> Figure:
    """The 6x5 edge weights with their values; a frame marks the operator that each edge takes.

    taken: six operator numbers, of the cell that is read from the weights or chosen in the end.
    none: whether a cell may hold that operator; where it may not, its column is crossed out.
    small: for a place of 350 pixels.
    Shapes: w (6, 5), rows as `ops.space.EDGES`, columns as `OP_NAMES`.
    Raises: ValueError for another shape.
    """
    w = _checked(w_EO)
    figure = small_figure(3.5, 2.9) if small else new_figure(5.6, 3.9)
    axes = figure.add_subplot()
    top = max(0.4, float(w.max()))
    axes.imshow(w, cmap="Blues", vmin=0.0, vmax=top, aspect="auto")
    for edge in range(NUM_EDGES):
        corner = (taken[edge] - 0.48, edge - 0.46)
        axes.add_patch(Rectangle(corner, 0.96, 0.92, fill=False, ec=VERMILLION, lw=2))
        for op in range(NUM_OPS):
            colour = "white" if w[edge, op] > 0.6 * top else "#222222"
            axes.text(
                op, edge, f"{w[edge, op]:.3f}", ha="center", va="center", color=colour,
                fontsize=9 if small else None,
            )  # fmt: skip
    axes.set_xticks(range(NUM_OPS), [OP_LABELS[op] for op in range(NUM_OPS)])
    axes.set_yticks(
        range(NUM_EDGES), [f"{'' if small else 'edge '}{label}" for label in EDGE_LABELS]
    )
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if not none:
        axes.axvspan(NONE - 0.5, NONE + 0.5, fill=False, hatch="//", ec=GREY, lw=0)
    legend = f"framed: taken{'' if none else ', hatched: left out'}"
    if small:
        axes.set_title(legend, fontsize=10, fontweight="normal")
        axes.tick_params(axis="x", labelsize=8)
    else:
        axes.set_title(f"Edge weights ({legend})")
    if path is not None:
        save(figure, path)
    return figure


@styled
def alpha_curves(
    history: Sequence[ArrayLike],
    path: str | Path | None = None,
    epochs: Sequence[float] | None = None,
) -> Figure:
    """The weight of every operator over the epochs, one panel per edge.

    Shapes: `history` holds one (6, 5) array per epoch; `epochs` its x positions (default 1, 2, ..).
    """
    if not history:
        raise ValueError("alpha_curves needs the edge weights of at least one epoch")
    w_TEO = np.stack([_checked(w) for w in history])
    x = np.arange(1, len(w_TEO) + 1) if epochs is None else np.asarray(epochs)
    figure = new_figure(9.0, 5.0)
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    marker = "o" if len(x) == 1 else ""
    for edge, panel in enumerate(axes.flat):
        for op in range(NUM_OPS):
            panel.plot(
                x,
                w_TEO[:, edge, op],
                color=OP_COLOURS[op],
                linestyle=OP_LINES[op],
                marker=marker,
                linewidth=2,
                label=OP_LABELS[op],
            )
        panel.set_title(f"edge {EDGE_LABELS[edge]}")
    for panel in axes[1]:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    for panel in axes[:, 0]:
        panel.set_ylabel("edge weight")
    axes[0, 0].set_ylim(0, min(1.0, max(0.3, 1.08 * float(w_TEO.max()))))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=NUM_OPS, handlelength=2.8)
    if path is not None:
        save(figure, path)
    return figure


def _checked(w_EO: ArrayLike) -> np.ndarray:
    w = np.asarray(w_EO, dtype=float)
    if w.shape != (NUM_EDGES, NUM_OPS):
        raise ValueError(f"edge weights: expected shape (6, 5), received {w.shape}")
    return w
