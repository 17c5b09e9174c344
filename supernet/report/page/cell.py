"""The cell as a picture inside a page: four nodes, six labelled edges, colours of the page."""

import math

from ops.space import CONV1, CONV3, EDGES, NONE, POOL, SKIP
from supernet.cells.genotype import Genotype
from supernet.report.figures.style import OP_LABELS

Point = tuple[float, float]

WIDTH, HEIGHT, RADIUS, ARROW = 560, 330, 20, 13
"""The picture, its nodes and its arrowheads, in its own units."""
POSITIONS: dict[int, Point] = {0: (42, 226), 1: (280, 34), 2: (280, 158), 3: (518, 226)}
"""The complete graph on four nodes is planar: node 2 inside the triangle, edge 0 to 3 below it."""
BEND: Point = (280, 336)
"""Where the edge from 0 to 3 bends to."""
OP_COLOURS = {
    NONE: "var(--grey)",
    SKIP: "var(--ink)",
    CONV1: "var(--orange)",
    CONV3: "var(--blue)",
    POOL: "var(--green)",
}
DASHES = {NONE: "2 7", SKIP: "9 5"}


def cell_picture(cell: Genotype) -> str:
    """The SVG element of a cell; `none` is faint and dotted, skip is dashed."""
    edges = [_edge(source, node, op) for (node, source), op in zip(EDGES, cell.ops, strict=True)]
    nodes = [_node(number) for number in POSITIONS]
    words = ", ".join(
        f"{source} to {node} {OP_LABELS[op]}"
        for (node, source), op in zip(EDGES, cell.ops, strict=True)
    )
    return (
        f'<svg class="cell" viewBox="0 0 {WIDTH} {HEIGHT}" fill="var(--ink)" role="img" '
        f'aria-label="Cell {cell.code}: {words}">{"".join(edges)}{"".join(nodes)}</svg>'
    )


def _node(number: int) -> str:
    x, y = POSITIONS[number]
    caption = {0: "input", 3: "output"}.get(number, "")
    return (
        f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="var(--page)" stroke="var(--ink)" '
        f'stroke-width="2"/><text x="{x}" y="{y + 6}" font-size="18">{number}</text>'
        f'<text x="{x}" y="{y + 42}" font-size="15" fill="var(--soft)">{caption}</text>'
    )


def _edge(source: int, node: int, op: int) -> str:
    start, end = POSITIONS[source], POSITIONS[node]
    middle = _between(start, end, 0.5)
    bend = BEND if (source, node) == (0, 3) else middle
    start, tip = _between(start, bend, length=RADIUS + 2), _between(end, bend, length=RADIUS + 2)
    foot = _between(tip, bend, length=ARROW)
    colour, faint = OP_COLOURS[op], op == NONE
    # A quadratic curve's middle lies half-way between its chord's middle and the bend.
    x, y = _between(middle, bend, 0.5)
    return (
        f'<g opacity="{0.75 if faint else 1}">'
        f'<path d="M{_at(start)} Q{_at(bend)} {_at(foot)}" fill="none" stroke="{colour}" '
        f'stroke-width="{1.8 if faint else 3.2}" stroke-dasharray="{DASHES.get(op, "none")}"/>'
        f'<path d="{_arrowhead(tip, foot)}" fill="{colour}"/>'
        f'<text x="{x:.1f}" y="{y + 6:.1f}" font-size="16" fill="{colour}" stroke="var(--page)" '
        f'stroke-width="12" stroke-linejoin="round" paint-order="stroke" '
        f'font-weight="{400 if faint else 700}">'
        f"{OP_LABELS[op]}</text></g>"
    )


def _arrowhead(tip: Point, foot: Point) -> str:
    across = ((tip[1] - foot[1]) / 2, (foot[0] - tip[0]) / 2)
    left, right = ((foot[0] + k * across[0], foot[1] + k * across[1]) for k in (1, -1))
    return f"M{_at(tip)} L{_at(left)} L{_at(right)} Z"


def _between(a: Point, b: Point, share: float = 0.0, *, length: float = 0.0) -> Point:
    """The point on the way from a to b, by its share of the way or by its distance from a."""
    share = length / math.dist(a, b) if length else share
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
