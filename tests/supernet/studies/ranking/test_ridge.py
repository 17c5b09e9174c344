"""One-hot ridge regression on a truth that is linear, and against leaving cells out by hand."""

import numpy as np
import pytest

from supernet.cells.genotype import Genotype
from supernet.studies.ranking.ridge import (
    _fit,
    leave_one_out_error,
    one_hot_rows,
    ridge_predictions,
)


def test_one_hot_rows() -> None:
    row = one_hot_rows([Genotype.parse("012340")])[0].reshape(6, 5)
    assert row.sum() == 6 and row.argmax(1).tolist() == [0, 1, 2, 3, 4, 0]


def test_a_linear_truth_is_predicted_out_of_fold() -> None:
    random = np.random.default_rng(0)
    cells = [Genotype(tuple(random.integers(5, size=6).tolist())) for _ in range(300)]
    x = one_hot_rows(cells)
    truth = x @ random.standard_normal(30)
    predicted = ridge_predictions(x, truth)
    assert np.corrcoef(predicted, truth)[0, 1] > 0.999


def test_a_truth_without_structure_is_not_predicted() -> None:
    """In-sample predictions would correlate with pure noise; held-out ones must not."""
    random = np.random.default_rng(0)
    x, truth = random.standard_normal((200, 30)), random.standard_normal(200)
    assert np.corrcoef(ridge_predictions(x, truth), truth)[0, 1] < 0.15
    w, b = _fit(x, truth, 1e-3)
    assert np.corrcoef(x @ w + b, truth)[0, 1] > 0.3


def test_leave_one_out_error_is_that_of_leaving_out() -> None:
    random = np.random.default_rng(1)
    x, y = random.standard_normal((25, 4)), random.standard_normal(25)
    # The closed form is exact where the intercept is not penalised: refit all but one, one by one.
    errors = []
    for i in range(25):
        w, b = _fit(np.delete(x, i, 0), np.delete(y, i), 0.7)
        errors.append((y[i] - x[i] @ w - b) ** 2)
    assert leave_one_out_error(x, y, 0.7) == pytest.approx(np.mean(errors), rel=1e-9)


def test_too_few_cells() -> None:
    with pytest.raises(ValueError, match="5 cells cannot be split into 10 folds"):
        ridge_predictions(np.zeros((5, 2)), np.zeros(5))
