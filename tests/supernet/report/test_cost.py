"""The cost of a search, by hand."""

import statistics
from typing import Any

import pytest

from supernet.cells.genotype import Genotype, all_genotypes
from supernet.report.cost import cells_at_equal_cost, search_cost, search_passes
from supernet.search.config import FRONT_OBJECTIVES
from tests.supernet.report.runs import CONFIG


def _description(**changes: Any) -> dict[str, Any]:
    return {
        "config": CONFIG | changes, "objective": "weighted", "steps_per_epoch": 50,
        "data": {"num_classes": 10, "image_size": 32},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "objective", "passes"),
    [
        # weights: N-FGSM 1 + loss 1; alpha: PGD-7 and both losses
        ({}, "weighted", (2, 9)),
        ({}, "robust", (2, 8)),
        ({"clean_share": 0.5}, "mgda", (3, 9)),
        ({"robust": False, "alpha_attack": None}, "clean", (1, 1)),
        ({"strategy": "darts2", "alpha_attack": None}, "weighted", (8, 3)),
        ({}, "epsilon", (2, 8)),
        ({}, "pareto", (2, 9)),
        ({}, "pareto_fixed", (2, 9)),
    ],
)
def test_passes(changes: dict[str, Any], objective: str, passes: tuple[int, int]) -> None:
    assert search_passes(CONFIG | changes, objective) == passes


def test_cost_is_passes_times_all_operators_on_all_edges() -> None:
    conv3, conv1 = Genotype((3,) * 6).flops(N=1), Genotype((2,) * 6).flops(N=1)
    none = Genotype((0,) * 6).flops(N=1)
    mixture = conv3 + conv1 - none
    # 3 epochs of 50 steps of 10 images, one of them a clean warm-up: 500 * (1 + 2 * 11) passes.
    assert search_cost(_description()) == 500 * 23 * mixture


def test_a_path_step_costs_one_operator_per_edge() -> None:
    conv3, conv1 = Genotype((3,) * 6).flops(N=1), Genotype((2,) * 6).flops(N=1)
    none = Genotype((0,) * 6).flops(N=1)
    mixture = conv3 + conv1 - none
    # Of the four operators that may be drawn, two are free.
    path = (conv3 + conv1 + 2 * none) / 4
    halves = 500 * (mixture + 2 * (2 * (mixture + path) / 2 + 9 * mixture))
    assert search_cost(_description(path_share=0.5)) == pytest.approx(halves)


@pytest.mark.parametrize(
    ("changes", "mixtures", "paths"),
    [
        ({"path_kind": "uniform"}, 0, 2),
        ({"path_kind": "sandwich"}, 2, 4),
        ({"distill": 2.0}, 1 / 3, 3),
        ({"path_kind": "sandwich", "distill": 2.0}, 2 + 2 / 3, 6),
    ],
)
def test_what_single_cells_cost_in_other_ways(
    changes: dict[str, Any], mixtures: float, paths: float
) -> None:
    none, conv3, conv1 = (Genotype((op,) * 6).flops(N=1) for op in (0, 3, 2))
    mixture, path = conv3 + conv1 - none, (conv3 + conv1 + 2 * none) / 4
    expected = 500 * (mixture + 2 * (mixtures * mixture + paths * path + 9 * mixture))
    assert search_cost(_description(path_share=1.0, **changes)) == pytest.approx(expected)


def test_cost_in_units_of_one_random_cell() -> None:
    mean = statistics.fmean(cell.flops() for cell in all_genotypes())
    expected = search_cost(_description()) / (50 * 50_000 * 8 * mean)
    assert cells_at_equal_cost(_description()) == pytest.approx(expected)


@pytest.mark.parametrize("objective", FRONT_OBJECTIVES)
def test_a_front_costs_its_scores(objective: str) -> None:
    plain = _description(front_queries=20, derive_images=100)
    plain["data"]["alpha_images"] = 80
    front = {**plain, "objective": objective}
    none, conv3, conv1 = (Genotype((op,) * 6).flops(N=1) for op in (0, 3, 2))
    # A random cell that may not hold `none` has each convolution on a quarter of its edges.
    cell = none + (conv3 - none) / 4 + (conv1 - none) / 4
    # 20 cells, 80 images, clean and ten steps of PGD.
    assert search_cost(front) - search_cost(plain) == pytest.approx(20 * 80 * 11 * cell)
