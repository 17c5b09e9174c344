"""Searches: counting, endings and seeds on the invented table; published means on the real one."""

import math
import random

import numpy as np
import pytest

from supernet.benchmark.baselines import multi_objective, single_objective, summary
from supernet.benchmark.order_statistics import expected_best_of
from supernet.benchmark.rows import query_cell
from supernet.benchmark.searches import (
    SEARCHES,
    Count,
    Landscape,
    Queries,
    Settings,
    Spent,
    search_curve,
)
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError

# CIFAR-10 PGD 8/255 after 150 queries, 200 seeds: mean, standard deviation, in percent.
PUBLISHED = {"random": (47.14, 0.39), "local": (48.01, 0.22), "evolution": (47.93, 0.21)}


@pytest.fixture(scope="module")
def landscape(invented: Table) -> Landscape:
    return Landscape.of(invented, "cifar10", "pgd_8")


def number(cell: Genotype) -> int:
    return int(cell.code, 5)


@pytest.mark.parametrize("method", PUBLISHED)
def test_published_means_within_their_standard_error(real: Table, method: str) -> None:
    on_real = Landscape.of(real, "cifar10", "pgd_8")
    runs = [100 * search_curve(method, on_real, queries=150, seed=s)[-1] for s in range(200)]
    mean, sd = PUBLISHED[method]
    assert abs(np.mean(runs) - mean) < sd / math.sqrt(200)
    assert np.std(runs, ddof=1) == pytest.approx(sd, abs=0.06)


@pytest.mark.slow
def test_landscape_agrees_with_the_table(invented: Table, landscape: Landscape) -> None:
    for code in ("000000", "333133", "412304", "444444"):
        cell = Genotype.parse(code)
        value = query_cell(invented, cell)["results"]["cifar10"]["pgd_8"]
        assert landscape.values[number(cell)] == value
        around = {number(neighbour) for neighbour in cell.neighbours()}
        assert set(landscape.neighbours[number(cell)]) == around
        assert len(landscape.neighbours[number(cell)]) == 24


@pytest.mark.parametrize(
    ("count", "queries_used"), [("evaluations", 4), ("strings", 3), ("classes", 2)]
)
def test_what_counts_as_a_query(landscape: Landscape, count: Count, queries_used: int) -> None:
    # All-none and none-with-one-dead-skip are isomorphic; all-3x3 is looked up twice.
    cells = [number(Genotype.parse(code)) for code in ("000000", "001000", "333333", "333333")]
    lookups = Queries(landscape, 10, count)
    values = [lookups(cell) for cell in cells]
    assert values[0] == values[1]
    assert len(lookups.best_after) == queries_used
    assert lookups.curve() == lookups.best_after + [max(values)] * (10 - queries_used)


def test_budget_ends_a_search_even_when_nothing_new_is_left(landscape: Landscape) -> None:
    lookups = Queries(landscape, 2, "strings")
    lookups(0)
    with pytest.raises(Spent):
        for _ in range(1000):
            lookups(0)
    lookups = Queries(landscape, 2, "evaluations")
    with pytest.raises(Spent):
        for _ in range(3):
            lookups(0)
    assert len(lookups.best_after) == 2


@pytest.mark.parametrize("method", SEARCHES)
@pytest.mark.parametrize("count", ["evaluations", "strings", "classes"])
def test_curves_rise_repeat_and_differ(landscape: Landscape, method: str, count: Count) -> None:
    first, again, other = (
        search_curve(method, landscape, queries=120, seed=seed, count=count) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert len(first) == 120 and first == sorted(first)


def test_local_search_climbs_to_the_top_of_a_hill(landscape: Landscape) -> None:
    # One hill: a cell's value is its number of 3x3 edges, so every climb ends at all-3x3.
    values = [float(np.base_repr(cell, 5).count("3")) for cell in range(15625)]
    hill = Landscape(values, list(range(15625)), landscape.neighbours)
    # From zero 3x3 edges a climb takes one start and at most six neighbourhoods.
    for seed in range(5):
        curve = search_curve("local", hill, queries=5 + 6 * 24, seed=seed)
        assert curve[-1] == 6.0
    assert search_curve("random", hill, queries=5 + 6 * 24, seed=0)[-1] < 6.0
    assert search_curve("evolution", hill, queries=400, seed=0)[-1] == 6.0


class Recorder(Queries):
    """Keeps the cells that were looked up."""

    def __init__(self, landscape: Landscape, budget: int) -> None:
        super().__init__(landscape, budget, "evaluations")
        self.cells: list[int] = []

    def __call__(self, cell: int) -> float:
        self.cells.append(cell)
        return super().__call__(cell)


@pytest.fixture
def flat(landscape: Landscape) -> Recorder:
    """Sixty lookups on a landscape without any hill."""
    return Recorder(Landscape([0.0] * 15625, landscape.classes, landscape.neighbours), 60)


def test_evolution_keeps_only_the_young(flat: Recorder) -> None:
    # With a population of 2 and tournaments of 2, a good ancestor is forgotten after two children.
    with pytest.raises(Spent):
        SEARCHES["evolution"](flat, random.Random(0), Settings(population=2, tournament=2))
    around, seen = flat.landscape.neighbours, flat.cells
    for place in range(2, 60):
        assert any(seen[place] in around[parent] for parent in seen[place - 2 : place])


def test_local_search_starts_again_where_nothing_is_better(flat: Recorder) -> None:
    with pytest.raises(Spent):
        SEARCHES["local"](flat, random.Random(0), Settings(starts=1))
    around, seen = flat.landscape.neighbours, flat.cells
    for start in (0, 25):
        assert set(seen[start + 1 : start + 25]) == set(around[seen[start]])
    assert seen[25] not in around[seen[0]]


def test_random_search_agrees_with_the_closed_form(invented: Table, landscape: Landscape) -> None:
    runs = [search_curve("random", landscape, queries=20, seed=s)[-1] for s in range(400)]
    expected = expected_best_of(invented, 20, "cifar10", "pgd_8")
    assert abs(np.mean(runs) - expected) < 3 * np.std(runs) / 20


def test_summary_is_the_textbook_one() -> None:
    bands = summary(np.array([[1.0], [2.0], [6.0]]))
    assert bands["mean"] == [3.0]
    assert bands["sd"] == pytest.approx([math.sqrt(7)])
    assert bands["ci_high"][0] - 3 == pytest.approx(1.96 * math.sqrt(7 / 3))
    assert summary(np.array([[1.0]]))["sd"] == [0.0]


def test_single_objective_reports_every_method(invented: Table) -> None:
    result = single_objective(invented, "cifar100", "clean", queries=40, seeds=3)
    assert set(result["methods"]) == set(SEARCHES)
    assert len(result["methods"]["local"]["mean"]) == 40
    closed = result["expected_best_of_random"]
    assert closed[9] == expected_best_of(invented, 10, "cifar100", "clean")
    assert result["best"] == invented.values("cifar100", "clean").max()


def test_nsga2_beats_random_search_on_the_real_front(real: Table) -> None:
    result = multi_objective(real, "cifar10", ["params", "clean", "pgd_8"], queries=205, seeds=6)
    assert result["queries"][-1] == 205 and result["queries"][0] == 10
    nsga2, chance = (result["methods"][name]["mean"] for name in ("nsga2", "random"))
    assert 0.9 < chance[-1] < nsga2[-1] < 1.0
    assert nsga2 == sorted(nsga2)


def test_bad_numbers_are_named(invented: Table) -> None:
    with pytest.raises(UserError, match=r"--queries \(0\) and --seeds \(1\)"):
        single_objective(invented, "cifar10", "clean", queries=0, seeds=1)
    with pytest.raises(UserError, match=r"--tournament \(31\) must lie between 1 and"):
        single_objective(invented, "cifar10", "clean", settings=Settings(tournament=31))
    with pytest.raises(UserError, match="unknown method 'annealing'; choose from random"):
        single_objective(invented, "cifar10", "clean", methods=["annealing"])
    with pytest.raises(UserError, match="unknown metric 'params'"):
        single_objective(invented, "cifar10", "params")
