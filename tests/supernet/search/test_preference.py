"""Alpha of a preference: closed forms of both functions, their gradients, what corners learn."""

import pytest
import torch
from torch import Tensor

from ops.space import CONV3
from supernet.search.derive import argmax_cell
from supernet.search.objectives import make_objective
from supernet.search.preference import (
    AlphaOfPreference,
    FixedPreferences,
    Preferences,
    accuracy_preference,
    draw,
    features,
    grid,
)
from tests.supernet.nets.inherited import one_hot

CORNERS = torch.eye(3)
BOTH = pytest.mark.parametrize("preferences", [AlphaOfPreference, FixedPreferences])


@BOTH
def test_every_preference_starts_uniform(preferences: type[Preferences]) -> None:
    alpha = preferences()
    for preference in grid(3):
        assert torch.equal(alpha(preference), torch.zeros(6, 5))


def test_preferences_are_drawn_evenly_from_the_simplex() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw(generator) for _ in range(4000)]).double()
    assert (drawn >= 0).all()
    torch.testing.assert_close(drawn.sum(dim=1), torch.ones(4000, dtype=torch.float64))
    # Dirichlet(1, 1, 1): mean 1/3, E lambda_i lambda_j = (1 + [i = j]) / 12.
    torch.testing.assert_close(drawn.mean(0), torch.full((3,), 1 / 3).double(), atol=0.015, rtol=0)
    moments = (torch.ones(3, 3) + CORNERS).double() / 12
    torch.testing.assert_close(drawn.T @ drawn / 4000, moments, atol=0.01, rtol=0)


def test_the_grid_is_the_simplex_with_its_corners_first() -> None:
    points = grid(5)
    assert len(points) == len({tuple(p.tolist()) for p in points}) == 21
    assert all(p.sum().item() == pytest.approx(1) and p.min() >= 0 for p in points)
    assert torch.equal(torch.stack(points[:3]), CORNERS)
    assert accuracy_preference(0.75).tolist() == [0.25, 0.75, 0.0]


def test_a_table_draws_its_own_six_preferences_evenly() -> None:
    alpha, generator = FixedPreferences(), torch.Generator().manual_seed(0)
    points = [tuple(p.tolist()) for p in alpha.points()]
    middles = {(0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)}
    assert points[:3] == [tuple(c.tolist()) for c in CORNERS] and set(points[3:]) == middles
    drawn = [tuple(alpha.draw(generator).tolist()) for _ in range(6000)]
    # 1000 of each, standard deviation 29.
    assert all(abs(drawn.count(point) - 1000) < 120 for point in points)


def test_a_table_has_an_alpha_of_its_own_for_each_preference() -> None:
    alpha, points = FixedPreferences(), FixedPreferences().points()
    optimiser = torch.optim.Adam(alpha.parameters(), lr=0.1, betas=(0.5, 0.999))
    steps = torch.randn(6, 6, 5)
    for point, step in zip(points, steps, strict=True):
        alpha.move(point, step)
    for point, step in zip(points, steps, strict=True):
        assert torch.equal(alpha(point), step)
    # The nearest of the six: one middle, one corner.
    assert torch.equal(alpha(torch.tensor([0.6, 0.35, 0.05])), alpha(torch.tensor([0.5, 0.5, 0.0])))
    assert torch.equal(alpha(torch.tensor([0.1, 0.8, 0.1])), alpha(CORNERS[1]))
    # Adam's momentum must not move a preference that is not asked.
    for asked in (0, 4):
        before = [alpha(point).detach().clone() for point in points]
        alpha.set_gradient(points[asked], torch.ones(6, 5))
        optimiser.step()
        for number, point in enumerate(points):
            expected = before[number] - (0.1 if number == asked else 0.0)
            torch.testing.assert_close(alpha(point).detach(), expected)


def test_the_gradient_is_the_chain_rule() -> None:
    alpha, preference = AlphaOfPreference().double(), torch.tensor([0.2, 0.5, 0.3]).double()
    gradient = torch.randn(6, 5, dtype=torch.float64)
    expected = torch.autograd.grad(alpha(preference), list(alpha.parameters()), gradient)
    alpha.set_gradient(preference, gradient)
    for parameter, value in zip(alpha.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, value)


def test_a_move_is_exact_where_it_is_made_and_smallest() -> None:
    alpha, preference = AlphaOfPreference().double(), torch.tensor([0.9, 0.1, 0.0]).double()
    step = torch.randn(6, 5, dtype=torch.float64)
    alpha.move(preference, step)
    torch.testing.assert_close(alpha(preference), step)
    # The smallest change lies in the row space of (1, phi): it is step (1, phi) / (1 + |phi|^2).
    phi = features(preference)
    torch.testing.assert_close(alpha.base.detach(), step / (1 + phi @ phi))
    torch.testing.assert_close(alpha.slopes[0].detach(), phi[0] * step / (1 + phi @ phi))


def test_a_corner_moves_along_its_own_gradient_alone() -> None:
    gradients = torch.randn(3, 6, 5)
    alpha, generator, steps = AlphaOfPreference(), torch.Generator().manual_seed(1), 1500
    for _ in range(steps):
        preference = draw(generator)
        alpha.set_gradient(preference, torch.tensordot(preference, gradients, dims=1))
        with torch.no_grad():
            for parameter in alpha.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=1 / steps)
    for corner, gradient in zip(CORNERS, gradients, strict=True):
        torch.testing.assert_close(alpha(corner), -gradient, atol=0.4, rtol=0)


@BOTH
def test_pure_robustness_is_at_least_as_robust_as_pure_size(
    preferences: type[Preferences],
) -> None:
    # An additive predictor whose losses are known: every operator has a loss on every edge, and
    # robustness is bought with convolutions. The argmax of each corner must be its optimum.
    table = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(2))
    table[:2, :, CONV3] = -0.1
    table[2] = torch.tensor([0.0, 0.0, 0.115, 1.0, 0.0]) + 0.01 * table[2]
    objective, alpha = make_objective("pareto"), preferences()
    optimiser = torch.optim.Adam(alpha.parameters(), lr=0.05, betas=(0.5, 0.999))
    generator = torch.Generator().manual_seed(3)

    def losses(w_EO: Tensor) -> Tensor:
        return (table * w_EO).sum(dim=(1, 2))

    for _ in range(300):
        preference = alpha.draw(generator)
        logits = alpha(preference).detach().requires_grad_()
        values = losses(logits.softmax(dim=1))
        gradients = torch.stack(
            [torch.autograd.grad(v, logits, retain_graph=True)[0].flatten() for v in values]
        )
        direction, _ = objective.direction(gradients, values.detach(), preference)
        alpha.set_gradient(preference, direction.view(6, 5))
        optimiser.step()
    cells = [argmax_cell(alpha(corner).softmax(dim=1), allow_none=True) for corner in CORNERS]
    assert cells[1].code == "333333"
    best = [losses(one_hot(cell, table)) for cell in cells]
    for objective_number, optimum in enumerate(table.amin(dim=2).sum(dim=1)):
        assert best[objective_number][objective_number] <= optimum + 0.06
    assert best[1][1] < best[2][1] and best[2][2] < best[1][2]
