"""The front of a search: of every size the cells with the best scores, by brute force."""

import dataclasses

import numpy as np
import pytest

from supernet.benchmark.menus import Cover
from supernet.benchmark.table import Table
from supernet.search.front import PER_SIZE, front_by
from supernet.search.proposals import Proposals, propose


@pytest.fixture(scope="module")
def menu(real: Table) -> Proposals:
    return propose(
        real, np.zeros((6, 5)), ("cifar100", "imagenet16-120"),
        follows_prior=False, robust=True, allow_none=True,
    )  # fmt: skip


def test_the_best_cells_of_each_size_of_all_cells(menu: Proposals) -> None:
    noise = np.random.default_rng(1).normal(size=menu.table.size)
    noisy = dataclasses.replace(menu, scores={"free": noise})
    found = front_by(noisy, "free", 2)
    expected: dict[int, list[float]] = {}
    for cell, score, may_be in zip(menu.cells, noise, menu.may_be_R, strict=True):
        if may_be:
            expected.setdefault(cell.params(), []).append(score)
    wanted = [
        (size, place, score)
        for size, scores in sorted(expected.items())
        for place, score in enumerate(sorted(scores, reverse=True)[:2], start=1)
    ]
    assert [(c.cell.params(), c.place, c.score) for c in found] == wanted
    assert all(noisy.score(c.cell, "free") == c.score for c in found)
    assert len(expected) == 28 and len(found) == 54


def test_a_budget_cuts_the_front(menu: Proposals) -> None:
    small = np.array([cell.params() <= 500_000 for cell in menu.cells])
    cut = front_by(dataclasses.replace(menu, may_be_R=menu.may_be_R & small), "free")
    whole = front_by(menu, "free")
    assert cut == [choice for choice in whole if choice.cell.params() <= 500_000]
    assert 0 < len(cut) < len(whole)


@pytest.mark.parametrize(
    ("dataset", "free", "prior"),
    [("cifar10", 0.989, 0.998), ("cifar100", 0.984, 0.999), ("imagenet16-120", 0.977, 0.994)],
)
def test_what_the_published_table_says_of_it(
    menu: Proposals, dataset: str, free: float, prior: float
) -> None:
    others = [name for name in ("cifar10", "cifar100", "imagenet16-120") if name != dataset]
    advised = propose(
        menu.table, np.zeros((6, 5)), others, follows_prior=True, robust=True, allow_none=True
    )
    cover = Cover(menu.table, dataset)
    for by, least in (("menu", free), ("prior", prior)):
        found = front_by(advised, by)
        assert max(choice.place for choice in found) == PER_SIZE
        assert cover.share([menu.table.row(c.cell) for c in found]) > least
        first = [menu.table.row(c.cell) for c in found if c.place == 1]
        assert cover.share(first) > (0.97 if by == "menu" else 0.985)
