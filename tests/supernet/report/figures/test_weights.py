"""Heat map and curves show the numbers they were given, each in its place."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ops.space import EDGES, NUM_EDGES, NUM_OPS
from supernet.report.figures import alpha_curves, heatmap
from supernet.report.figures.style import OP_LABELS


def _weights(seed: int) -> np.ndarray:
    w = np.random.default_rng(seed).random((NUM_EDGES, NUM_OPS))
    return w / w.sum(axis=1, keepdims=True)


def test_heat_map_writes_each_value_at_its_edge_and_operator() -> None:
    w = _weights(0)
    axes = heatmap(w, (3,) * 6).axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {
        (op, edge): f"{w[edge, op]:.3f}" for edge in range(NUM_EDGES) for op in range(NUM_OPS)
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == list(OP_LABELS.values())
    edges = [f"edge {source}→{node}" for node, source in EDGES]
    assert [label.get_text() for label in axes.get_yticklabels()] == edges


@pytest.mark.parametrize("none", [False, True])
def test_heat_map_frames_what_is_taken_and_crosses_out_what_cannot_be(none: bool) -> None:
    taken = (3, 1, 2, 4, 3, 1)
    axes = heatmap(_weights(1), taken, none=none).axes[0]
    frames = [p for p in axes.patches if p.get_hatch() is None]
    found = {(round(f.get_x() + 0.48), round(f.get_y() + 0.46)) for f in frames}
    assert found == {(op, edge) for edge, op in enumerate(taken)}
    crossed = [p.get_x() for p in axes.patches if p.get_hatch()]
    assert crossed == ([] if none else [-0.5])
    assert ("hatched: left out" in axes.get_title()) == (not none)


def test_curves_follow_each_operator_of_each_edge() -> None:
    history = [_weights(seed) for seed in range(4)]
    panels = alpha_curves(history, epochs=[2, 3, 4, 5]).axes
    for edge, panel in enumerate(panels):
        for op, line in enumerate(panel.lines):
            assert line.get_label() == OP_LABELS[op]
            assert line.get_xdata().tolist() == [2, 3, 4, 5]
            assert line.get_ydata().tolist() == [w[edge, op] for w in history]


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(6, 5\), received \(5, 6\)"):
        heatmap(np.zeros((5, 6)), (1,) * 6)
    with pytest.raises(ValueError, match="at least one epoch"):
        alpha_curves([])


def test_the_small_one_can_be_read_on_350_pixels() -> None:
    figure = heatmap(_weights(1), (1,) * 6, small=True)
    FigureCanvasAgg(figure).draw()
    (axes,), whole = figure.axes, figure.bbox
    assert whole.width == pytest.approx(700)
    texts = [axes.title, *axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    for text in texts:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0, text
        # In pixels of the half as wide picture that TensorBoard shows.
        assert text.get_fontsize() / 72 * figure.dpi / 2 >= 11, text
    columns = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(columns))
