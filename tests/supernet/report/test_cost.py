"""The cost of a search, by hand."""

import statistics
from typing import Any

import pytest

from supernet.cells.genotype import Genotype, all_genotypes
from supernet.report.cost import cells_at_equal_cost, refinement_cost, search_cost, search_passes
from supernet.train.short import Recipe
from tests.supernet.report.runs import CONFIG

BOTH = ["clean", "robust"]


def _description(**changes: Any) -> dict[str, Any]:
    return {
        "config": CONFIG | changes, "steps_per_epoch": 50,
        "data": {"num_classes": 10, "image_size": 32},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "follows", "passes"),
    [
        # weights: N-FGSM 1 + loss 1; alpha: N-FGSM and both losses
        ({}, BOTH, (2, 3)),
        ({}, ["robust"], (2, 2)),
        ({}, ["clean"], (2, 1)),
        ({"attack": "pgd"}, BOTH, (8, 9)),
        ({"robust": False}, ["clean"], (1, 1)),
        # and another attack, the virtual step, two differences for each of the two losses
        ({"strategy": "darts2"}, BOTH, (8, 3)),
    ],
)
def test_passes(changes: dict[str, Any], follows: list[str], passes: tuple[int, int]) -> None:
    assert search_passes(CONFIG | changes, follows) == passes


def test_cost_is_passes_times_all_operators_on_all_edges() -> None:
    conv3, conv1 = Genotype((3,) * 6).flops(N=1), Genotype((2,) * 6).flops(N=1)
    none = Genotype((0,) * 6).flops(N=1)
    mixture = conv3 + conv1 - none
    # 3 epochs of 50 steps of 10 images, one of them a clean warm-up: 500 * (1 + 2 * 5) passes.
    assert search_cost(_description(), BOTH) == 500 * 11 * mixture


def test_no_epoch_costs_nothing_whatever_the_warm_up() -> None:
    assert search_cost(_description(epochs=0, warmup_epochs=2), BOTH) == 0


def test_a_path_step_costs_one_operator_per_edge() -> None:
    conv3, conv1 = Genotype((3,) * 6).flops(N=1), Genotype((2,) * 6).flops(N=1)
    none = Genotype((0,) * 6).flops(N=1)
    mixture = conv3 + conv1 - none
    # Of the four operators that may be drawn, two are free.
    path = (conv3 + conv1 + 2 * none) / 4
    halves = 500 * (mixture + 2 * (2 * (mixture + path) / 2 + 3 * mixture))
    assert search_cost(_description(path_share=0.5), BOTH) == pytest.approx(halves)


def test_a_sandwich_is_the_mixture_and_two_cells() -> None:
    none, conv3, conv1 = (Genotype((op,) * 6).flops(N=1) for op in (0, 3, 2))
    mixture, path = conv3 + conv1 - none, (conv3 + conv1 + 2 * none) / 4
    expected = 500 * (mixture + 2 * (2 * (mixture + 2 * path) + 3 * mixture))
    sandwich = _description(path_share=1.0, path_kind="sandwich")
    assert search_cost(sandwich, BOTH) == pytest.approx(expected)


def test_gdas_computes_one_operator_of_five() -> None:
    none, conv3, conv1 = (Genotype((op,) * 6).flops(N=1) for op in (0, 3, 2))
    drawn = none + (conv3 + conv1 - 2 * none) / 5
    expected = 500 * 11 * drawn
    assert search_cost(_description(strategy="gdas"), BOTH) == pytest.approx(expected)


@pytest.mark.parametrize(("attack", "passes"), [("none", 1), ("n_fgsm", 2), ("pgd", 8)])
def test_short_trainings_cost_steps_times_their_own_cells(attack: str, passes: int) -> None:
    rounds = [{"number": 0, "cells": ["333333", "111111"]}, {"number": 1, "cells": ["333333"]}]
    again = [{"number": 0, "cells": ["333333"]}]  # trained once
    record = {"sweeps": [{"rounds": rounds}, {"rounds": again}]}
    large, small = (Genotype.parse(code).flops() for code in ("333333", "111111"))
    found = refinement_cost(
        _description(refine_steps=[50, 200], refine_attack=attack), record
    )  # fmt: skip
    assert found == Recipe(steps=50).batch_size * passes * (250 * large + 50 * small)


def test_a_search_without_supernet_costs_its_short_trainings() -> None:
    record = {"sweeps": [{"rounds": [{"number": 0, "cells": ["333333"]}]}]}
    free = _description(epochs=0, warmup_epochs=0, refine_steps=[50], refine_attack="none")
    mean = statistics.fmean(cell.flops() for cell in all_genotypes())
    expected = 50 * 64 * Genotype.parse("333333").flops() / (50 * 50_000 * 8 * mean)
    assert cells_at_equal_cost(free, BOTH, record) == pytest.approx(expected)
    assert cells_at_equal_cost(free, BOTH) == 0


def test_cost_in_units_of_one_random_cell() -> None:
    mean = statistics.fmean(cell.flops() for cell in all_genotypes())
    expected = search_cost(_description(), BOTH) / (50 * 50_000 * 8 * mean)
    assert cells_at_equal_cost(_description(), BOTH) == pytest.approx(expected)
