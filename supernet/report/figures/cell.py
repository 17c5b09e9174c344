"""The cell as a picture: four nodes, six labelled edges."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from ops.space import EDGES, NONE, SKIP
from supernet.cells.genotype import Genotype
from supernet.report.figures.style import (
    OP_COLOURS,
    OP_LABELS,
    new_figure,
    save,
    small_figure,
    styled,
)

# The complete graph on four nodes is planar: node 2 inside the triangle, the edge 0->3 below it.
_POSITIONS = {0: (0.0, 0.0), 1: (2.0, 1.75), 2: (2.0, 0.5), 3: (4.0, 0.0)}
_CAPTIONS = {0: "input", 3: "output"}
_BENDS = {(3, 0): 0.22}


@styled
def draw_cell(genotype: Genotype, path: str | Path | None = None, *, small: bool = False) -> Figure:
    """Nodes 0 to 3 with an arrow per edge; `none` is faint and dotted, skip is dashed.

    With `path` (no suffix) the figure is also written as SVG and PNG. `small` is for a place of 350
    pixels.
    """
    figure = small_figure(4.6, 2.6) if small else new_figure(6.4, 3.5)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.45, 4.45)
    axes.set_ylim(-0.85, 2.15)
    axes.set_aspect("equal")
    for (node, source), op in zip(EDGES, genotype.ops, strict=True):
        _draw_edge(axes, source, node, op)
    for node, (x, y) in _POSITIONS.items():
        axes.plot(x, y, "o", ms=27, mfc="white", mec="#222222", mew=1.6, zorder=4)
        axes.text(x, y, str(node), ha="center", va="center", fontsize=13, zorder=5)
        if node in _CAPTIONS:
            axes.text(x, y - 0.38, _CAPTIONS[node], ha="center", va="top", fontsize=11)
    if path is not None:
        save(figure, path)
    return figure


def _draw_edge(axes: Axes, source: int, node: int, op: int) -> None:
    start, end = _POSITIONS[source], _POSITIONS[node]
    bend = _BENDS.get((node, source), 0.0)
    arrow = FancyArrowPatch(
        start,
        end,
        connectionstyle=f"arc3,rad={bend}",
        arrowstyle="-|>",
        mutation_scale=16,
        shrinkA=15,
        shrinkB=15,
        linewidth=1.2 if op == NONE else 2.4,
        linestyle={NONE: (0, (1, 2.5)), SKIP: (0, (4, 2))}.get(op, "-"),
        color=OP_COLOURS[op],
        alpha=0.7 if op == NONE else 1.0,
        zorder=2,
    )
    axes.add_patch(arrow)
    # A quadratic arc's middle lies half its bend away from the chord, on the side it bends to.
    dx, dy = end[0] - start[0], end[1] - start[1]
    x = (start[0] + end[0]) / 2 + bend / 2 * dy
    y = (start[1] + end[1]) / 2 - bend / 2 * dx
    axes.text(
        x,
        y,
        OP_LABELS[op],
        ha="center",
        va="center",
        fontsize=10 if op == NONE else 12,
        color="#777777" if op == NONE else OP_COLOURS[op],
        fontweight="normal" if op == NONE else "bold",
        bbox={"boxstyle": "round,pad=0.18", "fc": "white", "ec": "none"},
        zorder=3,
    )
