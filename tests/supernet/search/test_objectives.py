"""Objectives: closed forms for the min-norm combination and the expected cost."""

import math

import pytest
import torch

from supernet.cells.genotype import Genotype, all_genotypes
from supernet.errors import UserError
from supernet.search.config import OBJECTIVE_NAMES
from supernet.search.objectives import (
    CHEBYSHEV_MU,
    OBJECTIVES,
    conflict_angle,
    cost_share,
    expected_cost,
    make_objective,
    min_norm_coefficients,
    smooth_chebyshev,
)
from supernet.search.preference import AlphaOfPreference, FixedPreferences
from tests.supernet.nets.inherited import one_hot


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


@pytest.mark.parametrize("terms", [1, 2, 3, 4])
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
    same = torch.ones(3, 4)
    torch.testing.assert_close(min_norm_coefficients(same) @ same, torch.ones(4))
    zero = torch.stack([torch.zeros(4), torch.ones(4)])
    torch.testing.assert_close(min_norm_coefficients(zero), torch.tensor([1.0, 0.0]))
    assert min_norm_coefficients(torch.zeros(2, 4)).sum() == 1


@pytest.mark.parametrize("metric", ["params", "flops"])
def test_expected_cost_is_the_cells_own_cost_for_one_hot_weights(metric: str) -> None:
    size = {"num_classes": 10, "image_size": 16, "C": 8, "N": 2}
    cell, most, least = (Genotype.parse(code) for code in ("321034", "333333", "111111"))
    if metric == "params":
        cost = [c.params(10, C=8, N=2) for c in (cell, most, least)]
    else:
        cost = [c.flops(10, 16, C=8, N=2) for c in (cell, most, least)]
    share = expected_cost(one_hot(cell, torch.zeros(())), metric, **size)
    assert share.item() == pytest.approx((cost[0] - cost[2]) / (cost[1] - cost[2]))


def test_expected_cost_is_the_mean_over_the_product_distribution() -> None:
    w_EO = torch.randn(6, 5, dtype=torch.float64).softmax(dim=1)
    mean = 0.0
    for cell in all_genotypes():
        p = math.prod(w_EO[e, o].item() for e, o in enumerate(cell.ops))
        mean += p * (cell.params() - 73_306)
    share = expected_cost(w_EO, "params", num_classes=10, image_size=32, C=16, N=5)
    assert share.item() == pytest.approx(mean / (6 * 243_040))


def test_conflict_angles() -> None:
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert conflict_angle(x, x).item() == pytest.approx(0)
    assert conflict_angle(x, y).item() == pytest.approx(90)
    assert conflict_angle(x, -3 * x).item() == pytest.approx(180)
    assert conflict_angle(x, 0 * x).item() == pytest.approx(90)


def test_weighted_sums_and_terms() -> None:
    gradients = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]])
    weighted = make_objective("weighted", robust_weight=0.75, size_weight=0.5)
    assert weighted.terms == ("clean", "robust", "size")
    direction, coefficients = weighted.direction(gradients, torch.ones(3))
    assert coefficients.tolist() == [0.25, 0.75, 0.5]
    assert direction.tolist() == [2.25, 2.75]
    assert make_objective("clean").terms == ("clean",)
    assert make_objective("robust").terms == ("robust",)
    assert make_objective("mgda").terms == ("clean", "robust")


def test_smooth_chebyshev_closes_in_on_the_worst_weighed_term() -> None:
    losses, weights = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([0.8, 0.3, 1.0]).double()
    for mu in (1.0, 0.1, 0.01):
        gap = smooth_chebyshev(losses, weights, mu) - 0.8
        assert 0 <= gap <= mu * math.log(3)
    equal = smooth_chebyshev(torch.full((3,), 0.7).double(), torch.ones(3).double(), 0.1)
    assert equal.item() == pytest.approx(0.7 + 0.1 * math.log(3))


def test_chebyshev_coefficients_are_its_gradient() -> None:
    losses, weights = torch.tensor([1.1, 1.3, 0.4]).double(), torch.tensor([0.6, 0.4, 2.0]).double()
    objective = make_objective("chebyshev", robust_weight=0.4, size_weight=2.0)
    assert objective.terms == ("clean", "robust", "size")
    gradients = torch.eye(3, dtype=torch.float64)
    _, coefficients = objective.direction(gradients, losses)
    torch.testing.assert_close(
        coefficients, weights * (weights * losses / CHEBYSHEV_MU).softmax(dim=0)
    )
    for term, step in enumerate(1e-6 * gradients):
        ahead, behind = (
            smooth_chebyshev(losses + sign * step, weights, CHEBYSHEV_MU) for sign in (1, -1)
        )
        assert ((ahead - behind) / 2e-6).item() == pytest.approx(coefficients[term].item())
    # As the smoothing vanishes, and with it here where the gap is large, the worst term is all.
    _, far = make_objective("chebyshev").direction(gradients[:2], torch.tensor([9.0, 1.0]).double())
    assert far.tolist() == pytest.approx([0.5, 0.0])


def test_pareto_weighs_unit_gradients_by_the_preference() -> None:
    gradients = torch.tensor([[3.0, 4.0], [0.0, 0.1], [0.0, 0.0]])
    objective = make_objective("pareto")
    assert objective.preferences is AlphaOfPreference
    assert make_objective("pareto_fixed").preferences is FixedPreferences
    assert objective.terms == ("clean", "robust", "size")
    preference = torch.tensor([0.5, 0.2, 0.3])
    direction, _ = objective.direction(gradients, torch.ones(3), preference)
    torch.testing.assert_close(direction, torch.tensor([0.3, 0.4 + 0.2]))


def test_the_share_of_a_cost_is_that_of_the_expected_cost() -> None:
    images = {"num_classes": 100, "image_size": 32}
    for metric, code in (("params", "330121"), ("flops", "222114")):
        cell = Genotype.parse(code)
        cost = cell.params(100) if metric == "params" else cell.flops(100, 32)
        share = expected_cost(one_hot(cell, torch.zeros(())), metric, **images, C=16, N=5)
        assert cost_share(cost, metric, **images) == pytest.approx(share.item())
    assert cost_share(70_000, "params", **images) < 0


def test_mgda_with_size_descends_every_term() -> None:
    gradients = torch.tensor([[1.0, 0.2, 0.0], [0.1, 1.0, 0.0], [-0.3, -0.3, 1.0]])
    direction, coefficients = make_objective("mgda", size_weight=2.0).direction(
        gradients, torch.ones(3)
    )
    assert (gradients @ direction > 0).all()
    torch.testing.assert_close(direction, coefficients @ gradients)


def test_unknown_names_list_the_good_ones() -> None:
    assert tuple(OBJECTIVES) == OBJECTIVE_NAMES
    with pytest.raises(UserError, match="objective 'both' is unknown; choose one of clean, robust"):
        make_objective("both")
    with pytest.raises(ValueError, match="size metric 'weight' is unknown"):
        expected_cost(torch.ones(6, 5), "weight", num_classes=10, image_size=32, C=16, N=5)
