"""The picture of a cell: an arrow and a label for each edge, ending at the right nodes."""

import math
import re

from supernet.cells.genotype import Genotype
from supernet.report.page.cell import POSITIONS, RADIUS, cell_picture

EDGE = re.compile(r'M(\S+) Q\S+ \S+" fill="none" stroke="([^"]+)"')
HEAD = re.compile(r'<path d="M(\S+) L\S+ L\S+ Z"')
LABEL = re.compile(r"font-weight=\"(\d+)\">([^<]+)</text></g>")


def _node(point: str) -> int:
    """The node at whose rim a point lies."""
    at = tuple(map(float, point.split(",")))
    (found,) = [n for n, place in POSITIONS.items() if math.dist(at, place) < RADIUS + 3]
    return found


def test_every_edge_has_its_operator() -> None:
    svg = cell_picture(Genotype.parse("012343"))
    labels = [words for _, words in LABEL.findall(svg)]
    assert labels == ["none", "skip", "conv 1×1", "conv 3×3", "avg pool", "conv 3×3"]
    starts, tips = [start for start, _ in EDGE.findall(svg)], HEAD.findall(svg)
    edges = [(_node(a), _node(b)) for a, b in zip(starts, tips, strict=True)]
    assert edges == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert 'aria-label="Cell 012343: 0 to 1 none, 0 to 2 skip, 1 to 2 conv 1×1, ' in svg


def test_operators_differ_in_more_than_colour() -> None:
    svg = cell_picture(Genotype.parse("012343"))
    colours = [colour for _, colour in EDGE.findall(svg)]
    assert len(set(colours)) == 5 and all(re.fullmatch(r"var\(--\w+\)", c) for c in colours)
    assert svg.count('stroke-dasharray="2 7"') == svg.count('stroke-dasharray="9 5"') == 1
