"""The found front lies where the table says."""

import numpy as np
import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report.figures import found_front

CELLS = [Genotype.parse(code) for code in ("111112", "111121", "333133")]
RECORD = {
    "size_metric": "params",
    "judged_by": "cifar100",
    "cells": [
        {"code": cell.code, "place": place} for cell, place in zip(CELLS, (1, 2, 1), strict=True)
    ],
}


@pytest.mark.slow
def test_by_the_table(invented: Table) -> None:
    figure = found_front(RECORD, invented)
    left, right = figure.axes
    results = [query_cell(invented, c)["results"]["cifar100"] for c in CELLS]
    robust = [100 * r["pgd_8"] for r in results]
    for axis in (left, right):
        every, true, first, further = axis.lines[:4]
        assert len(every.get_xdata()) == 6466
        assert true.get_label() == f"true front ({len(true.get_xdata())})"
        assert (first.get_label(), further.get_label()) == (
            "first choices (2)", "further choices (1)",
        )  # fmt: skip
        assert list(first.get_ydata()) == pytest.approx([robust[0], robust[2]])
        assert list(further.get_ydata()) == pytest.approx(robust[1:2])
        low, high = axis.get_ylim()
        assert low < min(robust) and max(robust) < high
    sizes = [c.params() / 1e6 for c in CELLS]
    assert list(left.lines[2].get_xdata()) == pytest.approx([sizes[0], sizes[2]])
    clean = [100 * r["clean"] for r in results]
    assert list(right.lines[2].get_xdata()) == pytest.approx([clean[0], clean[2]])
    assert "CIFAR-100" in left.get_ylabel()


def test_the_lines_are_the_best_within_a_size(invented: Table) -> None:
    left, right = found_front(RECORD, invented).axes
    assert len(right.lines) == 4
    best_of_all, best_found = left.lines[4:]
    robust = 100 * invented.values("cifar100", "pgd_8")
    sizes = invented.costs("params", cheapest=True) / 1e6
    for size, best in list(zip(*best_of_all.get_data(), strict=True))[::400]:
        assert best <= robust[sizes <= size].max()
    assert best_of_all.get_ydata()[-1] == pytest.approx(robust.max())
    values = [100 * query_cell(invented, c)["results"]["cifar100"]["pgd_8"] for c in CELLS]
    assert best_found.get_ydata()[-1] == pytest.approx(max(values))
    assert np.diff(best_found.get_ydata()).min() >= 0


def test_a_menu_without_further_choices(invented: Table) -> None:
    record = RECORD | {"cells": [{"code": "333133", "place": 1}]}
    labels = [line.get_label() for line in found_front(record, invented).axes[0].lines]
    assert "first choices (1)" in labels
    assert not any("further" in str(label) for label in labels)
