"""The finalists: best answers, the largest cell, random cells of equal size, no class twice."""

import itertools

import pytest

from ops.space import CONV1, CONV3, EDGES, NONE
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.search.finalists import (
    choose_finalists,
    largest_cell,
    random_of_equal_size,
)

DENSE = Genotype.parse("333333")


def cells(*codes: str) -> list[Genotype]:
    return [Genotype.parse(code) for code in codes]


def test_isomorphic_answers_are_one_and_the_order_stays() -> None:
    # A skip from 0 to 1 makes these two nodes equal: what leaves them can be exchanged.
    first, twin, other, last = cells("123121", "132211", "233133", "444444")
    assert first.canonical == twin.canonical != other.canonical
    answers = [first, twin, first, other, last]
    found = choose_finalists(answers, 2, {}, allow_none=False, seed=0)
    assert list(found)[:2] == ["answer", "answer 2"]
    assert [found["answer"], found["answer 2"]] == [first, other]
    assert "answer 3" not in found
    few = choose_finalists(answers[:3], 5, {}, allow_none=False, seed=0)
    assert [name for name in few if name.startswith("answer")] == ["answer"]


def test_baselines_follow_the_answers_also_where_they_are_one_of_them() -> None:
    answers = cells("333333", "333133")
    found = choose_finalists(
        answers, 2, {"all 3x3": DENSE, "prior": answers[1]}, allow_none=False, seed=0
    )
    # No other cell has six 3x3 convolutions: there is no random one of equal size.
    assert found == {
        "answer": DENSE, "answer 2": answers[1], "all 3x3": DENSE, "prior": answers[1],
    }  # fmt: skip


@pytest.mark.parametrize("code", ["333133", "123433", "111132"])
def test_random_cells_have_the_answers_size_and_are_no_cell_of_the_list(code: str) -> None:
    answers = cells(code, "323133")
    for seed in range(20):
        found = choose_finalists(answers, 2, {"all 3x3": DENSE}, allow_none=False, seed=seed)
        drawn = [cell for name, cell in found.items() if name.startswith("random of equal size")]
        assert list(found)[-2:] == ["random of equal size 1", "random of equal size 2"]
        assert len({cell.canonical for cell in found.values()}) == 5
        for cell in drawn:
            assert (cell.params(), cell.flops()) == (answers[0].params(), answers[0].flops())
            assert cell.is_connected and NONE not in cell.ops


PATHS = [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]
"""The nodes of every way from input to output."""


def _matters(cell: Genotype, edge: int) -> bool:
    """Whether the edge is on a way without `none`."""
    ways = [[EDGES.index((b, a)) for a, b in itertools.pairwise(path)] for path in PATHS]
    return any(edge in way and all(cell.ops[e] != NONE for e in way) for way in ways)


@pytest.mark.parametrize("allow_none", [False, True])
@pytest.mark.slow
def test_every_connected_cell_of_the_size_can_be_drawn(allow_none: bool) -> None:
    cell = Genotype.parse("313121")
    pool = list(random_of_equal_size(cell, allow_none=allow_none, seed=0))
    expected = {
        c for c in all_genotypes()
        if c.params() == cell.params() and c.is_connected and (allow_none or NONE not in c.ops)
        and all(_matters(c, edge) for edge, op in enumerate(c.ops) if op in (CONV1, CONV3))
    }  # fmt: skip
    assert len(pool) == len(expected) and set(pool) == expected
    first = [next(random_of_equal_size(cell, allow_none=False, seed=seed)) for seed in range(200)]
    assert first == [
        next(random_of_equal_size(cell, allow_none=False, seed=seed)) for seed in range(200)
    ]
    assert len(set(first)) > 50


@pytest.mark.slow
def test_the_largest_cell_is_all_3x3_or_the_largest_that_fits() -> None:
    assert largest_cell(None, seed=0) == ("all 3x3", DENSE)
    assert largest_cell(lambda cell: True, seed=0) == ("all 3x3", DENSE)
    most = 800_000
    largest = max(
        c.params() for c in all_genotypes()
        if c.params() <= most and c.is_connected and NONE not in c.ops
    )  # fmt: skip
    found = [largest_cell(lambda cell: cell.params() <= most, seed) for seed in range(30)]
    assert {name for name, _ in found} == {"largest that fits"}
    assert {cell.params() for _, cell in found} == {largest}
    assert all(cell.is_connected and NONE not in cell.ops for _, cell in found)
    assert len({cell for _, cell in found}) > 10
