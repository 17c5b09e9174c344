"""Sums of ranks against sums done by hand."""

import numpy as np
import pytest

from supernet.proxies.ensemble import SUMS, rank_sum

SCORES = {
    "a": np.array([1.0, 4.0, 2.0, 3.0]),  # ranks 1, 4, 2, 3
    "b": np.array([-5.0, -5.0, 0.0, -9.0]),  # ranks 2.5, 2.5, 4, 1
    "c": np.array([np.nan, 0, 0, 0]),
}


def test_the_weighted_mean_of_relative_ranks() -> None:
    found = rank_sum(SCORES, {"a": 1, "b": 2})
    ranks = (np.array([1, 4, 2, 3]) + 2 * np.array([2.5, 2.5, 4, 1])) / 3
    assert found == pytest.approx((ranks - 0.5) / 4)
    assert found.mean() == pytest.approx(0.5)
    assert rank_sum(SCORES, {"a": 3}) == pytest.approx([0.125, 0.875, 0.375, 0.625])


def test_only_the_order_of_a_score_counts() -> None:
    squeezed = SCORES | {"a": np.exp(10 * SCORES["a"])}
    both = {"a": 1.0, "b": 1.0}
    assert (rank_sum(squeezed, both) == rank_sum(SCORES, both)).all()
    doubled = {name: 2 * weight for name, weight in both.items()}
    assert rank_sum(SCORES, doubled) == pytest.approx(rank_sum(SCORES, both))


def test_a_missing_part_is_named() -> None:
    with pytest.raises(KeyError, match="snip"):
        rank_sum(SCORES, {"a": 1, "snip": 1})


def test_named_sums_have_few_and_plain_weights() -> None:
    for weights in SUMS.values():
        assert len(weights) > 1 and set(weights.values()) <= {0.5, 1, 2}
