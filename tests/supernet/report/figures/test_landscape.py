"""Cells lie where the table says, and the front is the front."""

import numpy as np
import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report.figures import front_scatter, scatter_in_benchmark
from supernet.report.figures.landscape import front_of

CELL, ALL_3X3 = Genotype.parse("333133"), Genotype.parse("333333")


def test_marked_cells_lie_at_their_values(invented: Table) -> None:
    cells = {"found": CELL, "all 3×3": ALL_3X3}
    figure = scatter_in_benchmark(invented, cells, "cifar100", column="autoattack")
    for axes in figure.axes:
        for label, cell in cells.items():
            line = next(line for line in axes.lines if line.get_label() == label)
            values = query_cell(invented, cell)["results"]["cifar100"]
            assert line.get_xdata()[0] == pytest.approx(100 * values["clean"])
            assert line.get_ydata()[0] == pytest.approx(100 * values["autoattack"])
    assert "CIFAR-100" in figure.axes[0].get_xlabel()
    assert "AutoAttack" in figure.axes[0].get_ylabel()


def test_front_has_what_nothing_beats() -> None:
    rng = np.random.default_rng(0)
    # Few levels, so that ties happen in one coordinate and in both.
    x = rng.integers(0, 12, 200).astype(float)
    y = rng.integers(0, 4, 200) + 14 - x
    points = set(zip(x, y, strict=True))
    beaten = {
        (a, b)
        for a, b in points
        if any((c >= a and d >= b) and (c, d) != (a, b) for c, d in points)
    }
    rows = front_of(x, y)
    assert len(rows) > 1
    assert {(x[row], y[row]) for row in rows} == points - beaten
    assert len(rows) == len(points - beaten)


def test_true_front_of_the_published_table(real: Table) -> None:
    figure = scatter_in_benchmark(real, {"found": CELL}, "cifar10")
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert "true front (2 cells)" in labels


def test_found_front_lies_at_parameters_and_accuracy(invented: Table) -> None:
    axes = front_scatter(invented, [CELL, ALL_3X3], "cifar10").axes[0]
    found = next(line for line in axes.lines if line.get_label() == "found")
    assert list(found.get_xdata()) == [CELL.params() / 1e6, ALL_3X3.params() / 1e6]
    expected = [
        100 * query_cell(invented, c)["results"]["cifar10"]["pgd_8"] for c in (CELL, ALL_3X3)
    ]
    assert list(found.get_ydata()) == pytest.approx(expected)
