"""The front of a search: of every size the cell that gains most, by brute force."""

import pytest
import torch

from ops.space import NONE
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.search.derive import argmax_cell
from supernet.search.front import front_by_gains
from supernet.search.gains import gain_of


@pytest.mark.parametrize("allow_none", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_best_cell_of_each_size_of_all_cells(allow_none: bool) -> None:
    gains = torch.randn(6, 5, dtype=torch.float64)
    found = front_by_gains(gains, Genotype.params, allow_none=allow_none)
    sizes = [cell.params() for cell, _ in found]
    assert sizes == sorted(set(sizes))
    best: dict[int, float] = {}
    for cell in all_genotypes():
        if cell.is_connected and (allow_none or NONE not in cell.ops):
            best[cell.params()] = max(best.get(cell.params(), -1e9), gain_of(cell, gains))
    assert sizes == sorted(best)
    assert all(gain == best[cell.params()] == gain_of(cell, gains) for cell, gain in found)
    if not allow_none:  # the strongest operators are on it
        assert argmax_cell(gains.softmax(1), allow_none=False) in [cell for cell, _ in found]


def test_a_budget_cuts_the_front() -> None:
    gains = torch.randn(6, 5)
    whole = front_by_gains(gains, Genotype.params, allow_none=False)
    cut = front_by_gains(
        gains, Genotype.params, allow_none=False, fits=lambda cell: cell.params() <= 500_000
    )
    assert cut == [(cell, gain) for cell, gain in whole if cell.params() <= 500_000]
    assert 0 < len(cut) < len(whole)
