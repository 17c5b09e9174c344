"""Deriving cells: the most probable ones by brute force, and the choice by score."""

import math

import torch

from ops.space import NONE
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.search.derive import argmax_cell, derive, mean_gains, probable_cells
from supernet.studies.ranking.predictor import CellScore


def random_weights() -> torch.Tensor:
    return torch.randn(6, 5, dtype=torch.float64).softmax(dim=1)


def test_argmax_with_and_without_none() -> None:
    w_EO = torch.full((6, 5), 0.1)
    w_EO[:, NONE] = 0.6
    w_EO[range(6), [1, 2, 3, 4, 1, 2]] = 0.2
    assert argmax_cell(w_EO, allow_none=False).code == "123412"
    assert argmax_cell(w_EO, allow_none=True).code == "000000"
    assert w_EO[0, NONE] == 0.6, "the weights must not be changed"


def test_probable_cells_are_the_best_of_all_by_brute_force() -> None:
    w_EO = random_weights()

    def probability(cell: Genotype) -> float:
        return math.prod(w_EO[e, o].item() for e, o in enumerate(cell.ops))

    best: dict[str, Genotype] = {}
    for cell in sorted(all_genotypes(), key=probability, reverse=True):
        if cell.is_connected:
            best.setdefault(cell.canonical, cell)
    assert probable_cells(w_EO, 40, allow_none=True) == list(best.values())[:40]
    without = [c for c in best.values() if NONE not in c.ops]
    found = probable_cells(w_EO, 25, allow_none=False)
    # A class may be met first in a member with `none`; only its probability order is compared.
    assert all(NONE not in cell.ops for cell in found)
    assert found[0] == argmax_cell(w_EO, allow_none=False)
    assert {c.canonical for c in without[:10]} <= {c.canonical for c in found}


def test_the_argmax_within_a_budget_is_exact() -> None:
    w_EO = random_weights()

    def probability(cell: Genotype) -> float:
        return math.prod(w_EO[e, o].item() for e, o in enumerate(cell.ops))

    for most in (73_306, 101_306, 400_000, 900_000):
        within = [c for c in all_genotypes() if c.params() <= most and c.is_connected]
        for allow_none in (True, False):
            best = max((c for c in within if allow_none or NONE not in c.ops), key=probability)
            assert argmax_cell(w_EO, allow_none, set(within).__contains__) == best
    everything = derive(w_EO, allow_none=False, fits=lambda cell: True)
    assert everything.argmax == argmax_cell(w_EO, allow_none=False)


def test_more_cells_than_there_are_gives_them_all() -> None:
    found = probable_cells(random_weights(), 10**6, allow_none=True)
    assert len(found) == 6466 - len({c.canonical for c in all_genotypes() if not c.is_connected})


def test_the_best_score_wins_and_both_answers_are_kept() -> None:
    w_EO = random_weights()
    candidates = probable_cells(w_EO, 5, allow_none=False)

    def score(cell: Genotype) -> CellScore:
        number = candidates.index(cell)
        # Accuracies that say the contrary: the losses decide.
        return CellScore(
            cell, 0.5 - 0.1 * number, 0.1 * number, clean_loss=2 - 0.1 * number,
            robust_loss=2 + 0.02 * number,
        )  # fmt: skip

    clean = derive(w_EO, allow_none=False, candidates=5, score=score, robust_weight=0.0)
    assert clean.chosen == candidates[4]
    robust = derive(w_EO, allow_none=False, candidates=5, score=score, robust_weight=1.0)
    assert robust.chosen == candidates[0]
    assert clean.argmax == robust.argmax == candidates[0]
    assert [s.genotype for s in clean.scores] == candidates[::-1]
    plain = derive(w_EO, allow_none=False)
    assert plain.chosen == plain.argmax and plain.scores == ()


def test_the_gains_of_several_searches_count_alike() -> None:
    one, two = torch.zeros(6, 5), torch.zeros(6, 5)
    one[:, 0], one[:, 1] = -30.0, 30.0
    two[:, 0], two[:, 3] = -0.01, 0.01
    # The root mean square of both is sqrt(2/5) of their size.
    expected = torch.zeros(6, 5)
    expected[:, 0], expected[:, 1], expected[:, 3] = -2.0, 1.0, 1.0
    torch.testing.assert_close(mean_gains([one, two]), expected / 2 / math.sqrt(0.4))
    assert torch.equal(mean_gains([torch.zeros(6, 5)]), torch.zeros(6, 5))


def test_equal_scores_go_to_the_more_probable_cell() -> None:
    w_EO = random_weights()
    result = derive(
        w_EO, allow_none=False, candidates=4, score=lambda cell: CellScore(cell, 0.5, 0.5, 1.0, 1.0)
    )
    assert result.chosen == result.argmax
