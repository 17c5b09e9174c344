"""The cell's picture says the right operator on the right edge."""

import pytest
from matplotlib.patches import FancyArrowPatch

from ops.space import EDGES, NONE, SKIP
from supernet.cells.genotype import Genotype
from supernet.report.figures import draw_cell
from supernet.report.figures.cell import _POSITIONS
from supernet.report.figures.style import OP_LABELS


@pytest.mark.parametrize("code", ["012340", "333133", "400012"])
def test_each_edge_carries_its_operator(code: str) -> None:
    genotype = Genotype.parse(code)
    axes = draw_cell(genotype).axes[0]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    labels = [text for text in axes.texts if text.get_text() in OP_LABELS.values()]
    assert len(arrows) == len(labels) == 6
    for arrow, label, (node, source), op in zip(arrows, labels, EDGES, genotype.ops, strict=True):
        assert arrow._posA_posB == [_POSITIONS[source], _POSITIONS[node]]
        assert label.get_text() == OP_LABELS[op]
        # The label lies on the drawn curve, not merely somewhere in the picture.
        start, control, end = arrow.get_connectionstyle()(
            _POSITIONS[source], _POSITIONS[node], shrinkA=0, shrinkB=0
        ).vertices
        assert label.get_position() == pytest.approx((start + 2 * control + end) / 4)


def test_none_is_faint_and_skip_is_dashed() -> None:
    axes = draw_cell(Genotype((NONE, SKIP, 2, 3, 4, NONE))).axes[0]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    none, skip, conv = arrows[0], arrows[1], arrows[3]
    assert none.get_linewidth() < conv.get_linewidth()
    assert none.get_alpha() < 1.0 == conv.get_alpha()
    assert skip.get_linestyle() not in ("-", "solid") and conv.get_linestyle() in ("-", "solid")
