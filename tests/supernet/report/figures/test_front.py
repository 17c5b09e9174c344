"""The found front lies where the table says."""

import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report.figures import found_front

CELLS = [Genotype.parse(code) for code in ("111112", "333133")]
RECORD = {
    "size_metric": "params",
    "judged_by": "cifar100",
    "cells": [{"code": cell.code} for cell in CELLS],
}


def test_by_the_table(invented: Table) -> None:
    figure = found_front(RECORD, invented)
    left, right = figure.axes
    results = [query_cell(invented, c)["results"]["cifar100"] for c in CELLS]
    robust = [100 * r["pgd_8"] for r in results]
    for axis in (left, right):
        every, true, found = axis.lines
        assert len(every.get_xdata()) == 6466
        assert true.get_label() == f"true front ({len(true.get_xdata())})"
        assert list(found.get_ydata()) == pytest.approx(robust)
    assert list(left.lines[2].get_xdata()) == pytest.approx([c.params() / 1e6 for c in CELLS])
    assert list(right.lines[2].get_xdata()) == pytest.approx([100 * r["clean"] for r in results])
    assert "CIFAR-100" in left.get_ylabel()
