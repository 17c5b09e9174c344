"""Fronts against brute force, hypervolume against hand-made boxes and inclusion-exclusion."""

import itertools

import numpy as np
import pytest

from supernet.benchmark.table import DATASETS, Table
from supernet.cells.pareto import generational_distance, hypervolume, non_dominated
from supernet.errors import UserError


def dominated_by_definition(points: np.ndarray, maximise: list[bool]) -> np.ndarray:
    signed = np.where(maximise, points, -points)
    return np.array(
        [any((q >= p).all() and (q > p).any() for q in signed) for p in signed], dtype=bool
    )


def volume_by_inclusion_exclusion(points: np.ndarray, reference: np.ndarray) -> float:
    """Sum over subsets of (-1)^(k+1) times the volume of the intersection; all maximised."""
    total = 0.0
    for k in range(1, len(points) + 1):
        for subset in itertools.combinations(points, k):
            box = np.maximum(np.min(subset, axis=0) - reference, 0)
            total += (-1) ** (k + 1) * float(np.prod(box))
    return total


@pytest.mark.parametrize("maximise", [[True, True], [False, True], [False, True, True]])
def test_non_dominated_is_the_definition_with_ties(maximise: list[bool]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.integers(0, 6, (40, len(maximise))).astype(float)
        mask = non_dominated(points, maximise)
        assert (mask == ~dominated_by_definition(points, maximise)).all()
        assert 0 < mask.sum() < 40


def test_equal_points_all_stay() -> None:
    assert non_dominated([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]], [True, True]).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("objectives", [2, 3])
def test_hypervolume_against_inclusion_exclusion(objectives: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        points = rng.random((7, objectives))
        reference = np.full(objectives, 0.2)  # some points do not dominate it
        expected = volume_by_inclusion_exclusion(points, reference)
        assert expected > 0.02
        found = hypervolume(points, reference, [True] * objectives)
        assert found == pytest.approx(expected, abs=1e-12)


def test_hypervolume_by_hand_with_a_minimised_objective() -> None:
    # Boxes between (cost, gain) and the reference (4, 0): 3 x 1, and 1 x 2 of which 1 x 1 is new.
    assert hypervolume([[1, 1], [3, 2]], [4, 0], [False, True]) == pytest.approx(4.0)
    assert hypervolume([[5, 2], [1, 0]], [4, 0], [False, True]) == 0.0
    assert hypervolume([], [4, 0], [False, True]) == 0.0


def test_generational_distance_by_hand() -> None:
    true = [[0.0, 0.0], [10.0, 1.0]]
    assert generational_distance(true, true) == 0.0
    # Ranges are 10 and 1: the first point is half a range away, the second lies on the front.
    assert generational_distance([[5.0, 0.0], [10.0, 1.0]], true) == pytest.approx(0.25)
    assert generational_distance([[0.0, 3.0]], true, scale_M=[1.0, 1.0]) == pytest.approx(3.0)
    # One found point on the front: perfect, but it covers half of it.
    assert generational_distance([[0.0, 0.0]], true) == 0.0
    assert generational_distance(true, [[0.0, 0.0]], scale_M=[10, 1]) == pytest.approx(0.5**0.5)


def test_bad_points_are_named() -> None:
    with pytest.raises(UserError, match="two or three objectives, not 1"):
        non_dominated([[1.0]], [True])
    with pytest.raises(UserError, match=r"shape \(1, 3\) do not have the 2 objectives"):
        hypervolume([[1.0, 2.0, 3.0]], [0, 0], [True, True])
    with pytest.raises(UserError, match="at least one point in each"):
        generational_distance([], [[1.0, 1.0]])


@pytest.mark.parametrize("dataset", DATASETS)
def test_sizes_of_the_published_fronts(real: Table, dataset: str) -> None:
    clean, robust = real.values(dataset, "clean"), real.values(dataset, "pgd_8")
    sizes = [int(non_dominated(np.stack([clean, robust], 1), [True, True]).sum())]
    for cheapest in (False, True):
        points = np.stack([real.costs("params", cheapest=cheapest), clean, robust], 1)
        sizes.append(int(non_dominated(points, [False, True, True]).sum()))
    expected = {"cifar10": [2, 41, 37], "cifar100": [3, 39, 30], "imagenet16-120": [4, 36, 27]}
    assert sizes == expected[dataset]
