"""The best of n random cells, against every draw."""

import itertools

import numpy as np
import pytest

from supernet.benchmark.order_statistics import best_of_probabilities, expected_best_of
from supernet.benchmark.table import Table
from supernet.errors import UserError


def test_expected_best_of_random_on_the_published_table(real: Table) -> None:
    assert round(100 * expected_best_of(real, 50, "cifar10", "pgd_8"), 2) == 46.75
    assert round(100 * expected_best_of(real, 150, "cifar10", "pgd_8"), 2) == 47.14


@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_probabilities_against_every_draw(n: int) -> None:
    values = np.array([0.5, 0.2, 0.5, 0.9, 0.1])
    weights = np.array([2, 1, 1, 1, 2])
    urn = np.repeat(np.arange(5), weights)
    draws = itertools.product(range(7), repeat=n)
    best = np.array([max(values[urn[i]] for i in draw) for draw in draws])
    p = best_of_probabilities(values, weights, n)
    for level in np.unique(values):
        assert p[values == level].sum() == pytest.approx((best == level).mean(), abs=1e-12)
    assert p[0] == pytest.approx(2 * p[2])  # equal values share by weight


def test_expected_best_of_knows_its_limits(invented: Table) -> None:
    values = invented.values("cifar10", "pgd_8")
    assert expected_best_of(invented, 10**9, "cifar10", "pgd_8") == pytest.approx(values.max())
    one = expected_best_of(invented, 1, "cifar10", "pgd_8")
    assert one == pytest.approx(np.average(values, weights=invented.multiplicity))
    with pytest.raises(UserError, match="at least 1, not 0"):
        expected_best_of(invented, 0, "cifar10", "clean")
    with pytest.raises(UserError, match="unknown column 'params'"):
        expected_best_of(invented, 1, "cifar10", "params")
