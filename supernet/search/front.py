"""The front of cells that one trained supernet gives, over (clean loss, robust loss, size).

Cells that alpha proposes for a grid of preferences start an evolutionary search; every cell is
scored with the supernet's weights, and what no scored cell of the same size dominates is the front.

Why sizes do not compete: a size is exact, a score is an estimate, and one with a bias, since small
cells train faster inside a supernet. Ordinary dominance believes it: it drops most large cells on
the word of smaller ones, and with them most of the true front (docs/results/supernet). Cells that
it would have dropped are marked instead.
"""

import contextlib
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ops.space import CONV3, NONE, NUM_EDGES, NUM_OPS, SKIP
from supernet.attacks.accuracy import WORST_LOSS, Evaluation
from supernet.benchmark.searches import Spent
from supernet.cells.genotype import Genotype
from supernet.cells.pareto import non_dominated
from supernet.files import atomic_write
from supernet.runs.tracking import read_metrics
from supernet.search.derive import Derivation, connected_cells, derive, probable_cells
from supernet.search.gains import operator_gains
from supernet.search.measure import cell_predictor
from supernet.search.preference import AIMS, accuracy_preference
from supernet.search.search import Search
from supernet.studies.ranking.predictor import CellScore, scores_of

SCORES_FILE = "front_scores.jsonl"
POPULATION = 30
"""Cells that alpha proposes, and cells in the population of NSGA-II, where the budget has them."""

Score = Callable[[Genotype], CellScore]


class ScoreFile:
    """Scores by isomorphism class, each a line of a file as it comes: none is computed twice.

    The file belongs to the weights at the end of a run. A line that was cut off is dropped, as are
    those of a version that wrote other scores.
    """

    def __init__(self, path: Path, score: Score) -> None:
        self.path, self._score = path, score
        names = Evaluation._fields
        records = [r for r in read_metrics(path) if set(names) <= set(r)]
        scores = [CellScore(Genotype.parse(r["code"]), *(r[n] for n in names)) for r in records]
        self._known = {score.genotype.canonical: score for score in scores}
        with atomic_write(path) as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)

    def __call__(self, cell: Genotype) -> CellScore:
        known = self._known.get(cell.canonical)
        if known is None:
            known = self._known[cell.canonical] = self._score(cell)
            line = {"code": cell.code, **scores_of(known)}
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        return known


class Archive:
    """The cells one search has scored, at most `queries` classes of isomorphic cells.

    A class stands here with its cheapest member that was met.
    """

    def __init__(
        self,
        score: Score,
        queries: int,
        cost: Callable[[Genotype], int],
        seen: Callable[[], object] = lambda: None,
    ) -> None:
        self._score, self.queries, self.cost, self._seen = score, queries, cost, seen
        self._scores: dict[str, CellScore] = {}

    def __call__(self, cell: Genotype) -> CellScore:
        """The score of a cell; those of its class are free from then on.

        Raises: Spent instead of a score beyond the budget.
        """
        known = self._scores.get(cell.canonical)
        if known is None:
            if self.full:
                raise Spent
            known = replace(self._score(cell), genotype=cell)
            self._seen()
        elif self.cost(cell) < self.cost(known.genotype):
            known = replace(known, genotype=cell)
        self._scores[cell.canonical] = known
        return known

    @property
    def full(self) -> bool:
        return len(self._scores) >= self.queries

    @property
    def scores(self) -> list[CellScore]:
        """In the order of their first meeting."""
        return list(self._scores.values())

    def front(self) -> list[CellScore]:
        """The scored cells that none of the same cost dominates over (clean loss, robust loss), by
        rising cost, then falling robustness."""
        found: list[CellScore] = []
        for cost in sorted({self.cost(score.genotype) for score in self.scores}):
            same = [score for score in self.scores if self.cost(score.genotype) == cost]
            points = [(s.clean_loss, s.robust_loss) for s in same]
            kept = itertools.compress(same, non_dominated(points, (False, False)))
            found += sorted(kept, key=lambda s: (s.robust_loss, s.genotype.code))
        return found

    def strict_front(self) -> list[CellScore]:
        """Those of `front` that no scored cell dominates over (clean loss, robust loss, cost)."""
        found = self.front()
        points = [(s.clean_loss, s.robust_loss, self.cost(s.genotype)) for s in found]
        return list(itertools.compress(found, non_dominated(points, (False, False, False))))


@dataclass(frozen=True)
class Front:
    """What `find_front` found."""

    cells: list[CellScore]
    """The front, by rising cost."""
    strict: list[CellScore]
    """Those of them that no smaller cell dominates."""
    archive: list[CellScore]
    proposed: list[tuple[Genotype, list[float]]]
    """The cells that alpha proposed, with their preferences."""
    baselines: dict[str, list[CellScore]]
    """Fronts of other searches with as many scored cells, by name."""
    corners: dict[str, CellScore]
    """Alpha's most probable cell for clean accuracy, for robustness and for size alone."""
    drawn: list[Genotype]
    """As many random cells as alpha proposed, the first of the baseline's; empty without it."""
    derivation: Derivation
    """The front's cells by falling weighted score, and argmax cells without regard to size."""


def find_front(
    search: Search, scores_file: Path, seen: Callable[[], object] = lambda: None
) -> Front:
    """Propose, evolve, score: the front of a trained search whose alpha knows preferences.

    `seen` is called for every cell that counts to the budget, config.front_queries for each search.
    """
    config = search.config
    score = ScoreFile(scores_file, cell_predictor(search).score)

    def archive() -> Archive:
        return Archive(
            score, config.front_queries, lambda cell: search.cost(cell, config.size_metric), seen
        )

    count = min(POPULATION, config.front_queries)
    proposed = preference_cells(search, count)
    found = archive()
    evolve(found, config.seed, config.derive_none, [cell for cell, _ in proposed])
    baselines: dict[str, list[CellScore]] = {}
    drawn: list[Genotype] = []
    if config.front_baseline:
        chance, evolved = archive(), archive()
        draw_cells(chance, config.seed, config.derive_none)
        evolve(evolved, config.seed, config.derive_none, None)
        drawn = [score.genotype for score in chance.scores[: len(proposed)]]
        baselines = {"random": chance.front(), "nsga2 from random cells": evolved.front()}
    cells = found.front()
    best = sorted(cells, key=lambda s: (-s.value(config.robust_weight), found.cost(s.genotype)))
    derivation = derive(
        search.strategy.expected_weights(),
        allow_none=config.derive_none,
        by=config.derive_by,
        gains=None if config.derive_by == "alpha" else operator_gains(search),
    )
    return Front(
        cells,
        found.strict_front(),
        found.scores,
        proposed,
        baselines,
        {name: replace(score(cell), genotype=cell) for name, cell in corner_cells(search).items()},
        drawn,
        replace(derivation, scores=tuple(best)),
    )


def preference_cells(search: Search, count: int) -> list[tuple[Genotype, list[float]]]:
    """`count` cells with the preference they are for: the most probable cell of every preference
    that alpha has points for, then the second of each, and so on, without isomorphs."""
    assert search.preferences is not None
    ranked = []
    for preference in search.preferences.points():
        search.prefer(preference)
        w_EO = search.strategy.expected_weights()
        cells = probable_cells(w_EO, count, search.config.derive_none)
        ranked.append([(cell, preference.tolist()) for cell in cells])
    search.prefer(accuracy_preference(search.config.robust_weight))
    found: dict[str, tuple[Genotype, list[float]]] = {}
    for row in zip(*ranked, strict=True):
        for cell, weights in row:
            found.setdefault(cell.canonical, (cell, [round(w, 6) for w in weights]))
    return list(found.values())[:count]


def corner_cells(search: Search) -> dict[str, Genotype]:
    """The most probable cell of each preference for one thing alone, by its name in AIMS.

    They are among the first that `preference_cells` proposes, or isomorphic to one of them: where
    the budget has those, they are scored already.
    """
    cells = {}
    for number, name in enumerate(AIMS):
        search.prefer(torch.eye(len(AIMS))[number])
        w_EO = search.strategy.expected_weights()
        cells[name] = probable_cells(w_EO, 1, search.config.derive_none)[0]
    search.prefer(accuracy_preference(search.config.robust_weight))
    return cells


def evolve(archive: Archive, seed: int, allow_none: bool, start: list[Genotype] | None) -> None:
    """NSGA-II over (clean loss, robust loss) among cells of equal cost until the archive is full;
    from `start`, else random.

    Cost and its negative are both objectives: so no cell dominates one of another cost, and the
    population spreads over the costs. A disconnected cell is not scored: it counts as dominated by
    every other.
    """
    from supernet.benchmark.nsga2 import CellProblem, nsga2

    worst = (WORST_LOSS, WORST_LOSS, 2.0 * archive.cost(Genotype((CONV3,) * NUM_EDGES)), 0.0)

    def value(cell: Genotype) -> tuple[float, float, float, float]:
        if not cell.is_connected:
            return worst
        score, cost = archive(cell), float(archive.cost(cell))
        return score.clean_loss, score.robust_loss, cost, -cost

    def costs(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([value(cell_of(int(number))) for number in numbers])

    sampling = None if start is None else np.array([cell.ops for cell in start])
    problem = CellProblem(costs, len(worst), lowest_op=NONE if allow_none else SKIP)
    algorithm = nsga2(
        problem, seed=seed, population=min(POPULATION, archive.queries), sampling=sampling
    )
    # A generation may meet known cells only; in a space that is scored out, all do.
    algorithm.setup(problem, termination=("n_gen", 10 * archive.queries), seed=seed, verbose=False)
    with contextlib.suppress(Spent):
        while algorithm.has_next() and not archive.full:
            algorithm.next()


def draw_cells(archive: Archive, seed: int, allow_none: bool) -> None:
    """Random strings without replacement until the archive is full."""
    cells, _ = connected_cells(allow_none)
    with contextlib.suppress(Spent):
        for cell in random.Random(f"front {seed}").sample(cells, len(cells)):
            archive(cell)


def cell_of(number: int) -> Genotype:
    """The cell whose six-digit code is `number` in base 5."""
    return Genotype(tuple(number // NUM_OPS**edge % NUM_OPS for edge in reversed(range(NUM_EDGES))))
