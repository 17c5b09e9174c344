"""The front: budgets, isomorphs, scores that are computed once, and a synthetic predictor."""

import dataclasses
from pathlib import Path

import pytest
import torch

from ops.space import CONV1, CONV3, NONE, OP_NAMES
from supernet.benchmark.searches import Spent
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true, true_front
from supernet.cells.genotype import NUM_CELLS, Genotype
from supernet.search.config import FRONT_OBJECTIVES
from supernet.search.derive import connected_cells, probable_cells
from supernet.search.front import (
    Archive,
    ScoreFile,
    cell_of,
    draw_cells,
    evolve,
    find_front,
)
from supernet.studies.ranking.predictor import CellScore
from tests.supernet.search.test_search import make_search

B = Genotype.parse("330333")


def synthetic(cell: Genotype) -> CellScore:
    """More convolutions are better, a 1x1 for clean accuracy alone; equal for isomorphic cells."""
    conv1, conv3 = (cell.canonical.count(f"@{OP_NAMES[op]}") for op in (CONV1, CONV3))
    clean, robust = (3 * conv3 + 2 * conv1) / 30, (3 * conv3 + conv1) / 30
    # Accuracies that say the contrary: the losses decide.
    return CellScore(cell, -clean, -robust, clean_loss=1 - clean, robust_loss=1 - robust)


def archive(queries: int) -> Archive:
    return Archive(synthetic, queries, Genotype.params)


def test_numbers_are_codes_in_base_five() -> None:
    assert cell_of(0).code == "000000" and cell_of(NUM_CELLS - 1).code == "444444"
    assert cell_of(int("321034", 5)).code == "321034"


def test_isomorphs_are_one_query_and_the_cheapest_stands_for_them() -> None:
    cells = [Genotype.parse(code) for code in ("333333", "222222")]
    one = next(
        (a, b) for a in connected_cells(True)[0] for b in connected_cells(True)[0][:400]
        if a.canonical == b.canonical and a.params() > b.params()
    )  # fmt: skip
    found = archive(3)
    assert found(one[0]).genotype == one[0]
    assert found(one[1]).genotype == one[1]
    assert found(one[0]).genotype == one[1]
    assert len(found.scores) == 1
    for cell in cells:
        found(cell)
    assert found.full
    with pytest.raises(Spent):
        found(B)
    found(one[0])  # known ones stay free


def dominates(other: CellScore, score: CellScore, *, same_size: bool) -> bool:
    """By definition, over the two losses and the size."""
    ours, theirs = (
        (s.clean_loss, s.robust_loss, s.genotype.params()) for s in (score, other)
    )  # fmt: skip
    if same_size and ours[2] != theirs[2]:
        return False
    return ours != theirs and all(t <= o for t, o in zip(theirs, ours, strict=True))


def test_the_front_is_what_no_scored_cell_of_its_size_dominates() -> None:
    found = archive(400)
    draw_cells(found, seed=0, allow_none=True)
    for cells, same_size in ((found.front(), True), (found.strict_front(), False)):
        kept = {s.genotype for s in cells}
        for score in found.scores:
            beaten = any(dominates(other, score, same_size=same_size) for other in found.scores)
            assert (score.genotype in kept) == (not beaten)
        costs = [s.genotype.params() for s in cells]
        assert costs == sorted(costs) and len(found.scores) == 400
    assert {s.genotype.params() for s in found.front()} == {
        s.genotype.params() for s in found.scores
    }
    assert 0 < len(found.strict_front()) < len(found.front())


@pytest.mark.parametrize("allow_none", [True, False])
def test_evolution_spends_its_budget_on_connected_cells(allow_none: bool) -> None:
    chance, evolved = archive(120), archive(120)
    draw_cells(chance, 1, allow_none)
    evolve(evolved, 1, allow_none, None)
    for found in (chance, evolved):
        assert len(found.scores) == 120
        assert all(s.genotype.is_connected for s in found.scores)
        if not allow_none:
            assert all(s.genotype.count(NONE) == 0 for s in found.scores)
    # Started from the optimum of every size, evolution keeps it.
    start = [Genotype.parse(code) for code in ("111111", "111113", "111133", "333333")]
    kept = archive(40)
    evolve(kept, 1, allow_none, start)
    assert [s.genotype for s in kept.scores][:4] == start
    assert start[0] in {s.genotype for s in kept.front()}
    assert start[3] in {s.genotype for s in kept.front()}


def test_evolution_looks_into_every_size_where_scores_favour_small_cells() -> None:
    def biased(cell: Genotype) -> CellScore:
        # The smaller the better: a search that believes it looks at small cells alone.
        loss = cell.params() / 1e6 + int(cell.canonical.encode().hex(), 16) % 97 / 1e6
        return CellScore(cell, 0.0, 0.0, clean_loss=loss, robust_loss=loss)

    found = Archive(biased, 150, Genotype.params)
    evolve(found, 0, False, None)
    sizes = {cell.params() for cell in connected_cells(False)[0]}
    met = {s.genotype.params() for s in found.front()}
    assert len(sizes) == 28 and len(met) >= 20
    # The larger half is looked at like the smaller one.
    large = sum(s.genotype.params() > sorted(sizes)[13] for s in found.scores)
    assert large > 50


def test_a_space_that_is_scored_out_ends() -> None:
    found = archive(10**6)
    draw_cells(found, 0, False)
    assert len(found.scores) == len({c.canonical for c in connected_cells(False)[0]})


def test_scores_are_written_as_they_come_and_never_computed_twice(tmp_path: Path) -> None:
    path, calls = tmp_path / "scores.jsonl", []

    def score(cell: Genotype) -> CellScore:
        calls.append(cell)
        return synthetic(cell)

    scores = ScoreFile(path, score)
    first = scores(B)
    assert scores(B) == first and calls == [B]
    with path.open("a") as stream:
        stream.write('{"code": "222222", "clean": 0.5, "robust": 0.4}\n')  # of another version
        stream.write('{"code": "1111')  # killed while writing
    again = ScoreFile(path, score)
    assert again(B) == first and calls == [B]
    again(Genotype.parse("111111"))
    assert len(path.read_text().splitlines()) == 2
    assert len(ScoreFile(path, score)._known) == 2


@pytest.mark.slow
def test_a_trained_search_gives_a_front_and_scores_nothing_again(tmp_path: Path) -> None:
    search = make_search(objective="pareto", front_queries=20, epochs=6, alpha_lr=0.05)
    for _ in range(search.total_steps):
        search.train_step()
    before = search.strategy.alpha.detach().clone()
    seen: list[None] = []
    front = find_front(search, tmp_path / "scores.jsonl", lambda: seen.append(None))
    assert len(seen) == len(front.archive) == 20
    assert set(front.cells) <= set(front.archive)
    assert front.derivation.chosen in {s.genotype for s in front.cells}
    best = min(s.clean_loss + s.robust_loss for s in front.archive)
    first = front.derivation.scores[0]
    assert first.clean_loss + first.robust_loss == best
    assert (search.strategy.alpha == before).all()
    # The chosen cell is the best by the weight of the robust loss, whatever that is.
    for weight in (0.0, 1.0):
        search.config = dataclasses.replace(search.config, robust_weight=weight)
        found = find_front(search, tmp_path / "scores.jsonl").derivation.scores[0]
        losses = [(s.robust_loss if weight else s.clean_loss) for s in front.archive]
        assert (found.robust_loss if weight else found.clean_loss) == min(losses)
    search.config = dataclasses.replace(search.config, robust_weight=0.5, front_baseline=True)
    chance = archive(20)
    draw_cells(chance, search.config.seed, search.config.derive_none)
    drawn = find_front(search, tmp_path / "baseline.jsonl")
    assert drawn.drawn == [s.genotype for s in chance.scores[: len(drawn.proposed)]]
    assert drawn.drawn != [cell for cell, _ in drawn.proposed]
    search.config = dataclasses.replace(search.config, front_baseline=False)
    lines = (tmp_path / "scores.jsonl").read_text()
    assert find_front(search, tmp_path / "scores.jsonl") == front
    assert (tmp_path / "scores.jsonl").read_text() == lines
    # Of the front, whoever wants robustness alone gets the most robust cell that was scored.
    assert min(s.robust_loss for s in front.cells) == min(s.robust_loss for s in front.archive)


@pytest.mark.slow
def test_the_smallest_budget_has_a_front_and_corners(tmp_path: Path) -> None:
    search = make_search(objective="pareto", front_queries=1, epochs=1)
    search.train_step()
    front = find_front(search, tmp_path / "scores.jsonl")
    assert len(front.cells) == len(front.archive) == len(front.proposed) == 1
    assert set(front.corners) == {"clean", "robust", "size"}
    for number, score in enumerate(front.corners.values()):
        search.prefer(torch.eye(3)[number])
        assert score.genotype == probable_cells(search.strategy.expected_weights(), 1, False)[0]


@pytest.mark.slow
@pytest.mark.parametrize("objective", FRONT_OBJECTIVES)
def test_a_preference_for_small_cells_gets_small_cells(objective: str) -> None:
    # The size term has an exact gradient, so that a few steps part the corners; that robustness
    # is bought where it can be is tested on known losses, in test_preference.py.
    costs = []
    for seed in range(3):
        search = make_search(objective=objective, seed=seed, epochs=6, alpha_lr=0.05)
        for _ in range(search.total_steps):
            search.train_step()
        for corner in torch.eye(3)[1:]:
            search.prefer(corner)
            costs.append(float(search.expected_cost(search.strategy.expected_weights())))
    robust, small = costs[::2], costs[1::2]
    assert all(s < r for s, r in zip(small, robust, strict=True))


def test_the_true_front_reaches_itself(invented: Table) -> None:
    true = true_front(invented, "cifar10", ["params", "clean", "pgd_8"], cheapest=True)
    cells = [Genotype.parse(c["code"]) for c in true["cells"]]
    whole = found_against_true(invented, cells, "cifar10")
    assert whole["hypervolume_ratio"] == pytest.approx(1)
    assert whole["generational_distance"] == whole["inverted_generational_distance"] == 0
    assert whole["truly_non_dominated"] == len(cells)
    assert all(r == 0 for r in whole["regret"].values())
    one = found_against_true(invented, [Genotype((CONV3,) * 6)], "cifar10")
    assert one["hypervolume_ratio"] < 0.5 and one["cells"] == 1
    assert one["regret"]["200000"] is None
    assert one["inverted_generational_distance"] > 0.1
