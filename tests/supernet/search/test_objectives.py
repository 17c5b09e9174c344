"""Objectives: closed forms of the min-norm combination and the weighted sum."""

import pytest
import torch

from supernet.errors import UserError
from supernet.search.config import OBJECTIVE_NAMES
from supernet.search.objectives import (
    OBJECTIVES,
    conflict_angle,
    make_objective,
    min_norm_coefficients,
)


@pytest.mark.parametrize(
    ("g1", "g2", "gamma"),
    [
        ((1.0, 0.0), (0.0, 1.0), 0.5),  # orthogonal, equal length
        ((2.0, 0.0), (0.0, 1.0), 0.2),  # 1 / (1 + 4)
        ((1.0, 0.0), (3.0, 0.0), 1.0),  # the same direction: the shorter one
        ((3.0, 0.0), (1.0, 0.0), 0.0),
        ((1.0, 0.0), (-1.0, 0.0), 0.5),  # opposed: the combination vanishes
        ((1.0, 1.0), (-3.0, 1.0), 0.75),
    ],
)
def test_two_gradients_follow_the_closed_form(
    g1: tuple[float, ...], g2: tuple[float, ...], gamma: float
) -> None:
    gradients = torch.tensor([g1, g2])
    a, b = gradients
    closed = (((b - a) @ b) / (b - a).square().sum()).clamp(0, 1)
    assert closed.item() == pytest.approx(gamma)
    torch.testing.assert_close(min_norm_coefficients(gradients), torch.tensor([gamma, 1 - gamma]))


@pytest.mark.parametrize("terms", [1, 2])
def test_the_combination_satisfies_the_optimality_conditions(terms: int) -> None:
    # c is optimal exactly when g_t . d >= |d|^2 for all t, with equality where c_t > 0.
    generator = torch.Generator().manual_seed(terms)
    for _ in range(30):
        gradients = torch.randn(terms, 6, generator=generator, dtype=torch.float64)
        c = min_norm_coefficients(gradients)
        d = c @ gradients
        assert c.min() >= 0 and c.sum().item() == pytest.approx(1)
        products = gradients @ d
        assert (products >= d @ d - 1e-9).all()
        torch.testing.assert_close(products[c > 1e-9], (d @ d).expand(int((c > 1e-9).sum())))


def test_equal_and_zero_gradients_are_no_trouble() -> None:
    assert min_norm_coefficients(torch.ones(2, 4)).tolist() == [0.5, 0.5]
    zero = torch.stack([torch.zeros(4), torch.ones(4)])
    torch.testing.assert_close(min_norm_coefficients(zero), torch.tensor([1.0, 0.0]))
    assert min_norm_coefficients(torch.zeros(2, 4)).tolist() == [0.5, 0.5]


def test_conflict_angles() -> None:
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert conflict_angle(x, x).item() == pytest.approx(0)
    assert conflict_angle(x, y).item() == pytest.approx(90)
    assert conflict_angle(x, -3 * x).item() == pytest.approx(180)
    assert conflict_angle(x, 0 * x).item() == pytest.approx(90)


def test_unknown_names_list_the_good_ones() -> None:
    assert tuple(OBJECTIVES) == OBJECTIVE_NAMES
    with pytest.raises(UserError, match="'both' is unknown; choose one of weighted, mgda"):
        make_objective("both", ("clean",))


def test_weighted_sums_and_their_terms() -> None:
    gradients = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weighted = make_objective("weighted", ("clean", "robust"), 0.75)
    direction, coefficients = weighted.direction(gradients)
    assert coefficients.tolist() == [0.25, 0.75] == direction.tolist()
    for term in ("clean", "robust"):
        alone = make_objective("weighted", (term,), 0.75)
        assert alone.terms == (term,)
        assert alone.direction(gradients[1:])[0].tolist() == [0.0, 1.0]


def test_mgda_descends_both_terms() -> None:
    gradients = torch.tensor([[1.0, 0.2, 0.0], [-0.3, 1.0, 0.0]])
    direction, coefficients = make_objective("mgda", ("clean", "robust")).direction(gradients)
    assert (gradients @ direction > 0).all()
    torch.testing.assert_close(coefficients, min_norm_coefficients(gradients))
