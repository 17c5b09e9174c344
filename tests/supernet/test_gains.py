"""Operator gains against finite differences of the loss."""

import pytest
import torch
import torch.nn.functional as F

from ops.candidates import kept_statistics
from ops.space import NUM_EDGES, NUM_OPS
from supernet.gains import gain_of, operator_gains
from supernet.genotype import Genotype
from supernet.measure import derive_cells
from supernet.search import Search
from tests.supernet.test_search import make_search


def trained(**fields: object) -> Search:
    search = make_search(**{"objective": "clean", "bn_statistics": "batch", **fields})
    for _ in range(3):
        search.train_step()
    return search


def batches(search: Search) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Whole batches of the alpha half, in the order of the seeded shuffle."""
    x, y = search.held_out(len(search.alpha_half))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(search.config.seed))
    size = search.config.batch_size
    whole = order[: len(y) // size * size].split(size)
    return [(x[batch], y[batch]) for batch in whole]


def mean_loss(search: Search, w_EO: torch.Tensor) -> float:
    search.net.train()
    with torch.no_grad(), kept_statistics(search.net):
        losses = [F.cross_entropy(search.net(x, w_EO), y) for x, y in batches(search)]
    return float(torch.stack(losses).double().mean())


def test_gains_are_the_slope_of_the_loss_at_the_even_mixture() -> None:
    search = trained()
    assert len(batches(search)) > 1
    gains = operator_gains(search)
    assert gains.sum(dim=1).abs().max() < 1e-12
    even, h = (
        torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS),
        2e-4,
    )  # small: a tiny network has many kinks
    # Weight moved from `none` to each other operator: the difference of two gains.
    for edge in range(NUM_EDGES):
        for op in range(1, NUM_OPS):
            ends = []
            for sign in (1, -1):
                w_EO = even.clone()
                w_EO[edge, op] += sign * h
                w_EO[edge, 0] -= sign * h
                ends.append(mean_loss(search, w_EO))
            slope = (ends[0] - ends[1]) / (2 * h)
            assert float(gains[edge, 0] - gains[edge, op]) == pytest.approx(slope, abs=8e-3)
    assert gains.std() > 0.04  # far above the tolerance


def test_the_last_cell_can_be_left_out() -> None:
    search = trained()
    whole, inner = operator_gains(search), operator_gains(search, last_cell=False)
    assert (whole - inner).abs().max() > 1e-3
    assert torch.equal(operator_gains(search), whole)  # left out for that one call alone
    # To the first cells' own slopes, the last one contributes nothing: hold it by hand.
    last = search.net.cells[-1]
    forward = last.forward
    last.forward = lambda x, w_EO, impl: forward(x, torch.full_like(w_EO, 0.2), impl)
    assert torch.allclose(operator_gains(search), inner, atol=1e-7)


def test_a_cells_gain_is_the_sum_of_its_operators() -> None:
    gains = torch.arange(30.0).view(6, 5)
    assert gain_of(Genotype.parse("012340"), gains) == 0 + 6 + 12 + 18 + 24 + 25


def test_the_robust_loss_is_under_the_attack_of_alpha() -> None:
    clean = trained()
    weighted = trained(objective="weighted", robust_weight=0.5)
    weighted.load_state_dict(clean.state_dict())
    attacked = operator_gains(weighted)
    # An attack that does nothing leaves the clean loss in both terms.
    weighted.alpha_attack = lambda model, x, y: x  # type: ignore[assignment]
    assert torch.allclose(operator_gains(weighted), operator_gains(clean), atol=1e-7)
    assert (attacked - operator_gains(clean)).abs().max() > 1e-3


@pytest.mark.parametrize("objective", ["pareto", "mgda", "epsilon"])
@pytest.mark.parametrize("strategy", ["darts", "darts2", "drnas"])
def test_nothing_is_moved_and_every_objective_has_gains(objective: str, strategy: str) -> None:
    fields: dict[str, object] = {"max_params": 9e5} if objective == "epsilon" else {}
    search = trained(objective=objective, strategy=strategy, **fields)
    before = {name: value.clone() for name, value in search.net.state_dict().items()}
    alpha = search.strategy.alpha.detach().clone()
    stream = search.random["attack"].get_state()
    gains = operator_gains(search, images=16)
    assert torch.equal(operator_gains(search, images=16), gains)
    assert torch.equal(search.random["attack"].get_state(), stream)
    assert gains.shape == (NUM_EDGES, NUM_OPS) and bool(gains.isfinite().all())
    assert all(torch.equal(before[name], v) for name, v in search.net.state_dict().items())
    assert torch.equal(search.strategy.alpha, alpha)
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in search.net.parameters())


def test_derived_by_gains_and_by_alpha() -> None:
    search = trained(derive_by="gains", derive_score=False)
    gains = operator_gains(search)
    found = derive_cells(search)
    assert found.gains is not None and torch.equal(found.gains, gains)
    strongest = tuple((gains[:, 1:].argmax(dim=1) + 1).tolist())
    assert found.chosen == found.argmax_gains and found.chosen.ops == strongest
    assert found.chosen_by == "gains"
    by_alpha = derive_cells(trained(derive_score=False))
    assert by_alpha.gains is by_alpha.argmax_gains is None and by_alpha.chosen_by == "argmax"
    assert by_alpha.argmax == found.argmax == by_alpha.chosen
    # Cells are then scored in the order of their summed gains.
    scored = derive_cells(trained(derive_by="gains", derive_candidates=1))
    assert scored.chosen == scored.argmax_gains and scored.chosen_by == "score"
