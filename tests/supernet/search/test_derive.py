"""Deriving cells: the argmax, within budgets by brute force, and by several seeds together."""

import math

import pytest
import torch

from ops.space import NONE
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.errors import UserError
from supernet.search.config import GUIDES
from supernet.search.derive import (
    argmax_cell,
    best_first,
    derive,
    mean_gains,
    refuse_unfit,
    restriction,
)


def random_weights() -> torch.Tensor:
    return torch.randn(6, 5, dtype=torch.float64).softmax(dim=1)


def test_argmax_with_and_without_none() -> None:
    w_EO = torch.full((6, 5), 0.1)
    w_EO[:, NONE] = 0.6
    w_EO[range(6), [1, 2, 3, 4, 1, 2]] = 0.2
    assert argmax_cell(w_EO, allow_none=False).code == "123412"
    assert argmax_cell(w_EO, allow_none=True).code == "000000"
    assert w_EO[0, NONE] == 0.6, "the weights must not be changed"


@pytest.mark.slow
def test_the_argmax_within_a_budget_is_exact() -> None:
    w_EO = random_weights()
    weights = w_EO.tolist()

    def probability(cell: Genotype) -> float:
        return math.prod(weights[e][o] for e, o in enumerate(cell.ops))

    for most in (73_306, 101_306, 400_000, 900_000):
        within = [c for c in all_genotypes() if c.params() <= most and c.is_connected]
        for allow_none in (True, False):
            best = max((c for c in within if allow_none or NONE not in c.ops), key=probability)
            assert argmax_cell(w_EO, allow_none, set(within).__contains__) == best
    assert argmax_cell(w_EO, False, lambda cell: True) == argmax_cell(w_EO, allow_none=False)


def test_cells_come_in_the_order_of_their_probability() -> None:
    w_EO = random_weights()
    weights = w_EO.tolist()

    def probability(cell: Genotype) -> float:
        return math.prod(weights[e][o] for e, o in enumerate(cell.ops))

    order = list(best_first(w_EO, allow_none=False))
    assert set(order) == {c for c in all_genotypes() if NONE not in c.ops and c.is_connected}
    assert order == sorted(order, key=probability, reverse=True)
    small = [cell for cell in order if cell.params() <= 400_000]
    assert list(best_first(w_EO, False, lambda cell: cell.params() <= 400_000)) == small


def test_the_answers_by_alpha_and_by_both_gains() -> None:
    w_EO, whole, inner = (torch.randn(6, 5, dtype=torch.float64) for _ in range(3))
    for by in GUIDES:
        found = derive(w_EO.softmax(1), (whole, inner), by=by, allow_none=False)
        for guide, values in (("alpha", w_EO), ("gains", whole), ("inner_gains", inner)):
            assert found.cells[guide].ops == tuple((values[:, 1:].argmax(dim=1) + 1).tolist())
        assert found.chosen == found.cells[by]
    # A budget holds for every answer.
    fits = restriction({"params": 400_000}, 10, 32)
    found = derive(w_EO.softmax(1), (whole, inner), by="alpha", allow_none=True, fits=fits)
    assert all(cell.params() <= 400_000 for cell in found.cells.values())


@pytest.mark.slow
def test_budgets_of_both_kinds_hold_together() -> None:
    assert restriction({}, 10, 32) is None
    fits = restriction({"params": 600_000, "flops": 60e6}, 10, 32)
    assert fits is not None
    allowed = [cell for cell in all_genotypes() if fits(cell)]
    assert allowed == [c for c in all_genotypes() if c.params() <= 6e5 and c.flops() <= 60e6]
    with pytest.raises(UserError, match=r"no cell has params of 70,000 or less; .* has 73,306 on"):
        restriction({"params": 70_000}, 10, 32)
    with pytest.raises(UserError, match="raise --max-flops"):
        restriction({"params": 1e6, "flops": 1e6}, 10, 32)


def test_the_gains_of_several_searches_count_alike() -> None:
    one, two = torch.zeros(6, 5), torch.zeros(6, 5)
    one[:, 0], one[:, 1] = -30.0, 30.0
    two[:, 0], two[:, 3] = -0.01, 0.01
    # The root mean square of both is sqrt(2/5) of their size.
    expected = torch.zeros(6, 5)
    expected[:, 0], expected[:, 1], expected[:, 3] = -2.0, 1.0, 1.0
    torch.testing.assert_close(mean_gains([one, two]), expected / 2 / math.sqrt(0.4))
    assert torch.equal(mean_gains([torch.zeros(6, 5)]), torch.zeros(6, 5))


def test_a_named_cell_counts_its_dead_edges() -> None:
    """132200 has none on its last two edges, so that two of its convolutions reach nothing."""
    fits = restriction({"params": 2e5}, 10, 32)
    refuse_unfit(["111111", "100111"], True, fits)
    for code, allow_none, words in (
        ("132200", True, "is too large; name another cell, or raise the budget"),
        ("333333", True, "is too large"),
        ("100111", False, "holds none; name another cell, or allow it with --derive-none"),
        ("011000", True, "has no path from input to output; name another cell"),
    ):
        message = f"--proposals {code} may not be the answer: it {words}"
        with pytest.raises(UserError, match=message):
            refuse_unfit(["111111", code], allow_none, fits)
