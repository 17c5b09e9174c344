"""Operator gains against finite differences of the loss."""

import pytest
import torch
import torch.nn.functional as F

from ops.candidates import kept_statistics
from ops.space import NUM_EDGES, NUM_OPS
from supernet.cells.genotype import Genotype
from supernet.search.config import STRATEGY_NAMES
from supernet.search.derive import connected_cells
from supernet.search.gains import gain_of, operator_gains
from supernet.search.measure import derive_cells
from supernet.search.search import Search
from tests.supernet.search.test_search import make_search


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
    gains = operator_gains(search).whole
    assert gains.sum(dim=1).abs().max() < 1e-12
    even = torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS)
    h = 2e-4  # small: a tiny network has many kinks
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


def test_inner_gains_are_those_of_a_network_whose_last_cell_is_held() -> None:
    search = trained()
    whole, inner = operator_gains(search)
    assert (whole - inner).abs().max() > 1e-3
    last = search.net.cells[-1]
    forward, even = last.forward, torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS)
    for cell in search.net.cells[:-1]:  # the last one moves alone: what is missing from inner
        forward_of = cell.forward
        cell.forward = lambda x, w_EO, impl, forward_of=forward_of: forward_of(x, even, impl)
    assert torch.allclose(operator_gains(search).inner, torch.zeros(6, 5).double())
    assert torch.allclose(operator_gains(search).whole, whole - inner, atol=1e-6)
    assert last.forward == forward and not last._forward_pre_hooks


def test_a_cells_gain_is_the_sum_of_its_operators() -> None:
    gains = torch.arange(30.0).view(6, 5)
    assert gain_of(Genotype.parse("111111"), gains) == 1 + 6 + 11 + 16 + 21 + 26
    # 3 <- 0 alone: edges into node 1 that lead nowhere, and out of node 2 that nothing feeds,
    # count as none.
    assert gain_of(Genotype.parse("300203"), gains) == 0 + 5 + 10 + 17 + 20 + 25
    # No path: the least gain of each edge, whatever its operators are.
    gains[1] = torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0])
    assert gain_of(Genotype.parse("300002"), gains) == 0 + 5 + 10 + 15 + 20 + 25


@pytest.mark.parametrize("objective", ["robust", "mgda", "pareto", "pareto_fixed", "epsilon"])
def test_gains_are_of_the_clean_loss_whatever_alpha_follows(objective: str) -> None:
    """And a budget's hinge, which would make every 3x3 the worst operator, is no part of them."""
    fields: dict[str, object] = {}
    if objective == "epsilon":  # whose size_weight is not that of a cost
        fields |= {"size_weight": 5.0, "max_params": 3e5}
    search = trained(objective=objective, **fields)
    clean = trained()
    clean.net.load_state_dict(search.net.state_dict())
    search._attacked = lambda *a: pytest.fail("attacked")  # type: ignore[assignment]
    assert all(map(torch.equal, operator_gains(search), operator_gains(clean)))


def test_a_weight_of_size_counts_as_in_the_objective() -> None:
    plain, sized = trained(), trained(size_weight=3.0)
    sized.net.load_state_dict(plain.net.state_dict())
    difference = operator_gains(plain).whole - operator_gains(sized).whole
    # Of the largest cell's parameters a 3x3 on one edge is a sixth.
    assert float(difference[0, 3] - difference[0, 0]) == pytest.approx(3.0 / 6, abs=1e-5)
    assert torch.allclose(difference, difference[:1].expand(6, 5), atol=1e-5)


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_nothing_is_moved(strategy: str) -> None:
    search = trained(objective="weighted", strategy=strategy)
    before = {name: value.clone() for name, value in search.net.state_dict().items()}
    alpha = search.strategy.alpha.detach().clone()
    streams = search.random.state_dict()["streams"]
    gains = operator_gains(search, images=16).whole
    assert torch.equal(operator_gains(search, images=16).whole, gains)
    assert bool(gains.isfinite().all())
    assert all(torch.equal(before[name], v) for name, v in search.net.state_dict().items())
    assert torch.equal(search.strategy.alpha, alpha)
    after = search.random.state_dict()["streams"]
    assert all(torch.equal(streams[name], after[name]) for name in streams)


def strongest(gains: torch.Tensor) -> tuple[int, ...]:
    return tuple((gains[:, 1:].argmax(dim=1) + 1).tolist())


def test_derived_by_gains_and_by_alpha() -> None:
    search = trained(derive_by="gains", derive_score=False)
    gains = operator_gains(search)
    found = derive_cells(search)
    assert found.gains is not None and found.by_gains is not None
    assert all(map(torch.equal, found.gains, gains))
    assert [cell.ops for cell in found.by_gains] == [strongest(g) for g in gains]
    assert found.chosen == found.by_gains[0] and found.chosen_by == "gains"
    inner = derive_cells(trained(derive_by="inner_gains", derive_score=False))
    assert inner.by_gains == found.by_gains and inner.chosen == found.by_gains[1]
    assert inner.chosen_by == "inner_gains"
    by_alpha = derive_cells(trained(derive_score=False))
    assert by_alpha.gains is by_alpha.by_gains is None and by_alpha.chosen_by == "alpha"
    assert by_alpha.argmax == found.argmax == by_alpha.chosen


@pytest.mark.parametrize("by", ["gains", "inner_gains"])
def test_of_several_cells_those_with_the_largest_summed_gains_are_scored(by: str) -> None:
    search = trained(derive_by=by, derive_candidates=4)
    gains = operator_gains(search)[by == "inner_gains"]
    sums: dict[str, Genotype] = {}
    cells, _ = connected_cells(False)
    for cell in sorted(cells, key=lambda c: -sum(float(gains[e, o]) for e, o in enumerate(c.ops))):
        sums.setdefault(cell.canonical, cell)
    scored = derive_cells(search)
    assert {s.genotype for s in scored.scores} == set(list(sums.values())[:4])
    assert scored.chosen_by == "score" and scored.chosen == scored.scores[0].genotype
