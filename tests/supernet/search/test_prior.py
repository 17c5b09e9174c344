"""The prior: closed forms of normal scores, and that the own data set takes no part."""

import statistics

import numpy as np
import pytest

from supernet.benchmark.table import Table
from supernet.search.prior import normal_scores, prior_scores


def test_normal_scores_by_the_standard_library() -> None:
    quantile = statistics.NormalDist().inv_cdf
    # Ranks 3, 1, 2, 4 of 4.
    expected = [quantile((rank - 0.5) / 4) for rank in (3, 1, 2, 4)]
    assert normal_scores([0.5, -1e9, 0.0, 7.0]) == pytest.approx(expected)
    # Two share ranks 2 and 3: the middle of four.
    assert normal_scores([1, 2, 2, 3]) == pytest.approx([quantile(1 / 8), 0, 0, quantile(7 / 8)])


def test_the_prior_is_the_mean_over_data_sets(invented: Table) -> None:
    found = prior_scores(invented, ("cifar100", "imagenet16-120"), robust=True)
    parts = [prior_scores(invented, (d,), robust=True) for d in ("cifar100", "imagenet16-120")]
    np.testing.assert_allclose(found, (parts[0] + parts[1]) / 2)
    order = np.argsort(parts[0], kind="stable")
    assert (np.diff(invented.values("cifar100", "pgd_8")[order]) >= 0).all()
    clean = prior_scores(invented, ("cifar100",), robust=False)
    assert (np.diff(invented.values("cifar100", "clean")[np.argsort(clean)]) >= 0).all()
    with pytest.raises(ValueError, match="at least one data set"):
        prior_scores(invented, (), robust=True)


def test_a_good_cell_elsewhere_is_a_good_cell(real: Table) -> None:
    best = int(prior_scores(real, ("cifar100", "imagenet16-120"), robust=True).argmax())
    assert real.genotypes[best].code == "333123"
    assert real.ranks("cifar10", "pgd_8")[best] == 5
