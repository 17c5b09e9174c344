"""Proposals: gains of classes by brute force, what may be the answer, and what each score likes."""

import functools

import numpy as np
import pytest
import torch

from ops.space import NONE
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.search.derive import argmax_cell, restriction
from supernet.search.gains import gain_of
from supernet.search.prior import normal_scores
from supernet.search.proposals import (
    FREE_WEIGHT,
    Proposals,
    class_gains,
    propose,
)

OTHERS = ("cifar100", "imagenet16-120")
GAINS = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def make(real: Table) -> "functools.partial[Proposals]":
    return functools.partial(
        propose, real, GAINS, OTHERS, follows_prior=True, robust=True, allow_none=False
    )


def test_a_class_gains_what_its_best_member_gains(invented: Table) -> None:
    found = class_gains(invented, GAINS)
    members: dict[str, list[Genotype]] = {}
    for cell in all_genotypes():
        members.setdefault(cell.canonical, []).append(cell)
    for row in range(0, invented.size, 60):
        gains = [gain_of(cell, GAINS) for cell in members[invented.genotypes[row].canonical]]
        assert found[row] == max(gains)


def test_the_best_by_gains_is_the_argmax_of_every_edge(
    make: "functools.partial[Proposals]",
) -> None:
    best = make().best("gains")[0]
    assert best.canonical == argmax_cell(GAINS.softmax(1), allow_none=False).canonical


@pytest.mark.slow
def test_what_may_be_the_answer(make: "functools.partial[Proposals]") -> None:
    fits = restriction({"params": 400_000}, 10, 32)
    for allow_none in (False, True):
        found = make(allow_none=allow_none, fits=fits)
        allowed = {c.code for c, may_be in zip(found.cells, found.may_be_R, strict=True) if may_be}
        by_class: dict[str, list[Genotype]] = {}
        for cell in all_genotypes():
            by_class.setdefault(cell.canonical, []).append(cell)
        cheapest = [min(c.params() for c in cells) for cells in by_class.values()]
        wanted = sum(
            size <= 400_000
            and cells[0].is_connected
            and (allow_none or any(NONE not in c.ops for c in cells))
            for size, cells in zip(cheapest, by_class.values(), strict=True)
        )
        assert len(allowed) == wanted
        assert all(Genotype.parse(c).params() <= 400_000 for c in allowed)
        assert allow_none or not any("0" in code for code in allowed)
        for by in found.scores:
            assert {cell.code for cell in found.best(by, 40)} <= allowed


def test_best_and_ordered_follow_the_scores(make: "functools.partial[Proposals]") -> None:
    found = make()
    top = found.best("both", 25)
    scores = [found.score(cell, "both") for cell in top]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == found.scores["both"][found.may_be_R].max()
    assert found.ordered(top[::-1], "both") == top
    nothing = make(fits=lambda cell: False)
    with pytest.raises(IndexError, match="no cell may be the answer"):
        nothing.best("free")


def test_the_prior_leads_and_free_scores_help(make: "functools.partial[Proposals]") -> None:
    for allow_none in (False, True):
        found = make(allow_none=allow_none)
        expected = found.scores["prior"] + FREE_WEIGHT * normal_scores(found.scores["free"])
        np.testing.assert_allclose(found.scores["both"], expected)


def test_scores_of_the_published_table(make: "functools.partial[Proposals]", real: Table) -> None:
    found = make()
    assert [found.best(by)[0].code for by in ("free", "prior")] == ["333123", "333123"]
    assert found.score(Genotype.parse("333133"), "free") > found.score(
        Genotype.parse("111111"), "free"
    )
    # Isomorphic cells are one network.
    twins = [Genotype.parse(code) for code in ("310030", "300003")]
    canonical = {cell.canonical for cell in twins}
    assert len(canonical) == len({found.score(cell, "free") for cell in twins})


def test_a_prior_that_is_followed_guides(make: "functools.partial[Proposals]") -> None:
    followed, alone = make(), make(follows_prior=False)
    assert (followed.guide, followed.menu_guide) == ("both", "prior")
    assert (alone.guide, alone.menu_guide) == ("free", "menu")
    assert set(alone.scores) == set(followed.scores)


def test_within_a_budget_free_scores_compare_cells_of_like_size(
    make: "functools.partial[Proposals]",
) -> None:
    wide, limited = make(), make(fits=restriction({"params": 400_000}, 10, 32))
    np.testing.assert_array_equal(limited.scores["free"], limited.scores["menu"])
    np.testing.assert_array_equal(limited.scores["menu"], wide.scores["menu"])
    assert not np.array_equal(wide.scores["free"], wide.scores["menu"])


def test_standing_is_that_of_the_class(make: "functools.partial[Proposals]") -> None:
    found = make(fits=restriction({"params": 400_000}, 10, 32))
    standing = found.standing("prior")
    values = np.array([standing(cell) for cell in found.cells])
    np.testing.assert_allclose(values * found.scores["prior"].std(), found.scores["prior"])
    assert values.std() == pytest.approx(1)
