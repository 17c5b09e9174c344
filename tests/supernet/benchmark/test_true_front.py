"""The table's front: what design promises of its JSON, and selection within limits."""

import itertools

import numpy as np
import pytest

from supernet.benchmark import true_front as front
from supernet.benchmark.selection import best_cells
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import objective_points, scaled_hypervolume, true_front
from supernet.cells.genotype import Genotype
from supernet.cells.pareto import non_dominated
from supernet.errors import UserError


def test_front_is_sorted_complete_and_not_dominated(invented: Table) -> None:
    result = true_front(invented, "cifar100", ["clean", "params", "autoattack"])
    firsts = [cell["objectives"]["clean"] for cell in result["cells"]]
    assert firsts == sorted(firsts, reverse=True) and len(firsts) > 3
    points = objective_points(invented, "cifar100", ["clean", "params", "autoattack"])
    assert len(firsts) == non_dominated(points, [True, False, True]).sum()
    for cell in result["cells"]:
        assert cell["objectives"]["clean"] == cell["results"]["cifar100"]["clean"]
        assert cell["objectives"]["params"] == cell["params"]
    assert result["reference_point"] == {
        "clean": 0.01,
        "params": pytest.approx(1.1 * 1531546),
        "autoattack": 0.01,
    }


def test_cost_first_sorts_the_smallest_first(invented: Table) -> None:
    cells = true_front(invented, "cifar10", ["flops", "pgd_8"])["cells"]
    pairs = [(cell["flops"], cell["objectives"]["pgd_8"]) for cell in cells]
    # More multiply-adds only for more accuracy; equal pairs may both stay.
    assert pairs == sorted(pairs) and len(set(pairs)) > 2
    assert all(b == a or b[1] > a[1] for a, b in itertools.pairwise(pairs))


def test_cheapest_names_the_cheapest_member(real: Table) -> None:
    result = true_front(real, "cifar10", ["params", "clean", "pgd_8"], cheapest=True)
    assert len(result["cells"]) == 37
    for cell in result["cells"]:
        assert cell["objectives"]["params"] == cell["params"]
        same = real.row_of == real.row(Genotype.parse(cell["code"]))
        assert cell["params"] == real.costs_of_all("params")[same].min()


def test_hypervolume_of_one_cell_by_hand() -> None:
    # All-3x3's cost is the unit: the box is (1.1 - 1) by (0.6 - 0.1).
    assert scaled_hypervolume([[1531546, 0.6]], "cifar10", ["params", "pgd_8"]) == pytest.approx(
        0.05
    )
    assert scaled_hypervolume([[0.05, 0.5]], "cifar10", ["clean", "pgd_8"]) == 0.0


def test_hypervolume_of_the_front_is_that_of_all_cells(invented: Table) -> None:
    objectives = ["params", "clean", "pgd_8"]
    every = objective_points(invented, "cifar10", objectives)
    front = true_front(invented, "cifar10", objectives)
    whole = scaled_hypervolume(every, "cifar10", objectives)
    assert front["hypervolume"] == pytest.approx(whole, abs=1e-12)


def test_a_found_front_by_hand(invented: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two found cells against a true front of two, of 0.1 M and 1.1 M parameters."""
    small, large, worse = (Genotype.parse(code) for code in ("111111", "333333", "322222"))
    values = {small: (0.1e6, 0.3, 0.2), large: (1.1e6, 0.8, 0.5), worse: (0.6e6, 0.7, 0.3)}
    truth = [{"objectives": dict(zip(("params", "clean", "pgd_8"), values[c], strict=True))}
             for c in (small, large)]  # fmt: skip
    monkeypatch.setattr(front, "true_front", lambda *a, **k: {"cells": truth, "hypervolume": 1.0})
    monkeypatch.setattr(front, "query_cell", lambda table, cell: {
        "params": values[cell][0],
        "results": {"cifar10": {"clean": values[cell][1], "pgd_8": values[cell][2]}},
    })  # fmt: skip
    monkeypatch.setattr(type(invented), "values", lambda *a: np.array([0.2, 0.5, 0.3]))
    monkeypatch.setattr(type(invented), "costs", lambda *a, **k: np.array([0.1e6, 1.1e6, 0.6e6]))
    found = front.found_against_true(invented, [small, worse], "cifar10")
    assert found["cells"] == 2 and found["truly_non_dominated"] == 1
    # In units of the true range (1 M, 0.5, 0.3): `small` lies on the front, `worse` at (0.5, 0.2,
    # 2/3) from `large` and at (0.5, 0.8, 1/3) from `small`; `large` is nearest to `worse`.
    away = (0.5**2 + 0.2**2 + (2 / 3) ** 2) ** 0.5
    assert found["generational_distance"] == pytest.approx(away / 2)
    assert found["inverted_generational_distance"] == pytest.approx(away / 2)
    alone = front.found_against_true(invented, [small], "cifar10")
    assert alone["generational_distance"] == 0
    assert alone["inverted_generational_distance"] == pytest.approx(3**0.5 / 2)
    # Within 0.4 M both have `small`; from 0.6 M the table too has `worse`; then it has `large`.
    assert found["regret"] == pytest.approx(
        {"200000": 0, "400000": 0, "600000": 0, "800000": 0, "1200000": 0.2}
    )
    assert alone["regret"] == pytest.approx(
        {"200000": 0, "400000": 0, "600000": 0.1, "800000": 0.1, "1200000": 0.3}
    )


@pytest.mark.parametrize(
    "objectives", [["clean"], ["clean", "clean"], ["clean", "pgd_8", "params", "flops"]]
)
def test_bad_objectives_are_named(invented: Table, objectives: list[str]) -> None:
    with pytest.raises(UserError, match="two or three different objectives, not"):
        true_front(invented, "cifar10", objectives)


def test_best_cells_of_the_published_table(real: Table) -> None:
    assert [cell.code for cell in best_cells(real, "cifar10", "pgd_8", 2)] == ["323133", "333133"]
    limited = best_cells(real, "cifar10", "pgd_8", 5, limits={"params": 0.8e6})
    ranks = [real.rank(cell, "cifar10", "pgd_8") for cell in limited]
    assert ranks == sorted(ranks) and all(cell.params() <= 0.8e6 for cell in limited)
    better = (real.values("cifar10", "pgd_8") > real.values("cifar10", "pgd_8")[
        real.row(limited[0])]) & (real.costs("params") <= 0.8e6)  # fmt: skip
    assert not better.any()


def test_limits_bind_both_costs_and_the_member_shown(invented: Table) -> None:
    limits = {"params": 400e3, "flops": 50e6}
    cells = best_cells(invented, "cifar10", "clean", 10_000, limits=limits, cheapest=True)
    assert all(cell.params() <= 400e3 and cell.flops() <= 50e6 for cell in cells)
    fits = (invented.costs("params", cheapest=True) <= 400e3) & (
        invented.costs("flops", cheapest=True) <= 50e6
    )
    assert len(cells) == fits.sum() > 10
    smallest = best_cells(invented, "cifar10", "params", 1)[0]
    assert smallest.params() == invented.costs("params").min()
    assert np.all(
        np.diff([cell.params() for cell in best_cells(invented, "cifar10", "params", 50)]) >= 0
    )


def test_limits_that_nothing_meets(invented: Table) -> None:
    with pytest.raises(UserError, match="no cell has params <= 70,000; the smallest cell has"):
        best_cells(invented, "cifar10", "clean", 3, limits={"params": 7e4, "flops": None})
    with pytest.raises(UserError, match="at least 1, not 0"):
        best_cells(invented, "cifar10", "clean", 0)
