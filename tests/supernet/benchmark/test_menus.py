"""Menus of cells: the best of each size by brute force, and shares of the true hypervolume."""

import numpy as np
import pytest

from supernet.benchmark.menus import Cover, best_of_each_size, random_menus
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true


def test_the_best_of_each_size() -> None:
    sizes = np.array([7, 3, 7, 3, 7, 9, 3])
    score = np.array([1.0, 5.0, 3.0, 5.0, 2.0, -8.0, 9.0])
    rows, places = best_of_each_size(score, sizes, np.arange(7), 2)
    # Size 3: row 6, then row 1 before row 3, which has the same score.
    assert rows.tolist() == [6, 1, 2, 4, 5]
    assert places.tolist() == [1, 2, 1, 2, 1]
    rows, places = best_of_each_size(score, sizes, np.array([0, 3, 4]), 1)
    assert rows.tolist() == [3, 4] and places.tolist() == [1, 1]
    assert best_of_each_size(score, sizes, np.array([], dtype=np.int64), 3)[0].tolist() == []


def test_a_share_is_that_of_the_found_front(real: Table) -> None:
    cover = Cover(real, "cifar10")
    assert cover.share(np.arange(real.size)) == 1
    cells = [real.order.genotype(int(i)) for i in real.cheapest_members[:40]]
    expected = found_against_true(real, cells, "cifar10")["hypervolume_ratio"]
    assert cover.share(np.arange(40)) == pytest.approx(expected)


def test_random_menus_lie_below_the_best_and_grow_with_their_size(real: Table) -> None:
    cover, sizes = Cover(real, "cifar10"), real.costs("params", cheapest=True)
    rows = np.arange(real.size)
    one, three = (random_menus(cover, sizes, rows, most, draws=40) for most in (1, 3))
    for menu in (one, three):
        low, high = menu["interval"]
        assert 0.85 < low < menu["hypervolume_ratio"] < high < 1
    assert one["hypervolume_ratio"] < three["hypervolume_ratio"]
    best, _ = best_of_each_size(real.values("cifar10", "pgd_8"), sizes, rows, 1)
    assert cover.share(best) > three["interval"][1]
    assert random_menus(cover, sizes, rows, 1, draws=40) == one
    # Nothing to choose from: every draw is the same menu.
    few = np.arange(1)
    assert random_menus(cover, sizes, few, 2, draws=3)["interval"] == [cover.share(few)] * 2
