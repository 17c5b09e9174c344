"""Operator gains against finite differences of the loss."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ops.candidates import kept_statistics
from ops.space import NUM_EDGES, NUM_OPS
from supernet.cells.genotype import Genotype
from supernet.search.config import STRATEGY_NAMES
from supernet.search.gains import Gains, gain_of, gains_of_cells, operator_gains
from supernet.search.search import Search
from tests.supernet.search.test_search import make_search


def trained(**fields: object) -> Search:
    search = make_search(**{"robust_weight": 0.0, **fields})
    for _ in range(3):
        search.train_step()
    return search


def gains_of(search: Search) -> Gains:
    return operator_gains(search.net, search.images.for_gains(search.config.seed))


def batches(search: Search) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Whole batches of the alpha half, in the order of the seeded shuffle."""
    x, y = search.images.held_out(len(search.images.alpha_half))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(search.config.seed))
    size = search.config.batch_size
    whole = order[: len(y) // size * size].split(size)
    return [(x[batch], y[batch]) for batch in whole]


def mean_loss(search: Search, w_EO: torch.Tensor, last_EO: torch.Tensor | None = None) -> float:
    net = search.net.train()
    with torch.no_grad(), kept_statistics(net):
        losses = [
            F.cross_entropy(net.forward_mixture(x, w_EO, last_EO), y) for x, y in batches(search)
        ]
    return float(torch.stack(losses).double().mean())


@pytest.mark.slow
def test_gains_are_the_slope_of_the_loss_at_the_even_mixture() -> None:
    search = trained()
    assert len(batches(search)) > 1
    gains = gains_of(search).whole
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
    whole, inner = gains_of(search)
    assert (whole - inner).abs().max() > 1e-3
    even = torch.full((NUM_EDGES, NUM_OPS), 1 / NUM_OPS)
    h, search_loss = 2e-4, functools.partial(mean_loss, search)
    for edge, op in ((0, 3), (3, 1), (5, 4)):
        ends = []
        for sign in (1, -1):
            w_EO = even.clone()
            w_EO[edge, op] += sign * h
            w_EO[edge, 0] -= sign * h
            ends.append(search_loss(w_EO, even))
        slope = (ends[0] - ends[1]) / (2 * h)
        assert float(inner[edge, 0] - inner[edge, op]) == pytest.approx(slope, abs=8e-3)


def test_a_cells_gain_is_the_sum_of_its_operators() -> None:
    gains = torch.arange(30.0).view(6, 5)
    assert gain_of(Genotype.parse("111111"), gains) == 1 + 6 + 11 + 16 + 21 + 26
    # 3 <- 0 alone: edges into node 1 that lead nowhere, and out of node 2 that nothing feeds,
    # count as none.
    assert gain_of(Genotype.parse("300203"), gains) == 0 + 5 + 10 + 17 + 20 + 25
    # No path: the least gain of each edge, whatever its operators are.
    gains[1] = torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0])
    assert gain_of(Genotype.parse("300002"), gains) == 0 + 5 + 10 + 15 + 20 + 25


def test_many_cells_at_once_have_the_gains_of_each() -> None:
    gains = torch.randn(6, 5, dtype=torch.float64)
    cells = [Genotype.parse(code) for code in ("111111", "300203", "300002", "000000", "432104")]
    together = gains_of_cells(np.array([cell.ops for cell in cells]), gains)
    assert together.tolist() == [gain_of(cell, gains) for cell in cells]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_nothing_is_moved(strategy: str) -> None:
    search = trained(robust_weight=0.5, strategy=strategy)
    before = {name: value.clone() for name, value in search.net.state_dict().items()}
    alpha = search.strategy.alpha.detach().clone()
    streams = search.random.state_dict()["streams"]
    gains = gains_of(search).whole
    assert torch.equal(gains_of(search).whole, gains)
    assert bool(gains.isfinite().all())
    assert all(torch.equal(before[name], v) for name, v in search.net.state_dict().items())
    assert torch.equal(search.strategy.alpha, alpha)
    after = search.random.state_dict()["streams"]
    assert all(torch.equal(streams[name], after[name]) for name in streams)
