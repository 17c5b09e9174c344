"""Improves a proposed cell by small changes, each judged by short stand-alone trainings.

A search proposes cells by gains and scores that see one cell, or a network of one cell a stage.
What a change of the cell does to the benchmark's fifteen stacked cells only a network of that depth
shows, and a hundred steps of training are enough to show it (docs/results/search.md).

First the proposals compete. Then, at most twice, the best cell's neighbours are trained for a few
steps, the better ones anew for more, and so on (successive halving); the last round, of which the
cell itself is part, decides whether to move.

No round trains on: each starts anew with a schedule of its own length and another seed, so that
luck in one round is not luck in the next.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ops.space import NONE, NUM_EDGES, NUM_OPS
from supernet.cells.genotype import Genotype
from supernet.search.derive import Fits

Judge = Callable[[Sequence[Genotype], int], list[float]]
"""(cells, number of the round) -> the held-out loss of each after a short training, in nats."""
Share = Callable[[Genotype], float]
"""The share of all cells that may be the answer which have fewer parameters, 0 to 1."""


KEEP_ONE_IN = 3
"""A round takes the best third of the one before, whose trainings are half as long."""
SIZE_WEIGHT = 0.5
"""Weight of the share of smaller cells against the rank by loss, in `scores_of`."""


@dataclass(frozen=True)
class Round:
    """Some cells after as many steps of training."""

    number: int
    """Of the judge's rounds: a later one trains longer."""
    cells: tuple[Genotype, ...]
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    """`scores_of`: more is better."""

    def best(self, count: int = 1) -> list[Genotype]:
        """The cells with the highest scores; of equal ones those that were named first."""
        order = sorted(range(len(self.cells)), key=lambda n: -self.scores[n])
        return [self.cells[n] for n in order[:count]]


@dataclass(frozen=True)
class Sweep:
    """Rounds that end with one cell: of the proposals, or of a cell's neighbours."""

    start: Genotype | None
    """The cell whose neighbours these are; None where the proposals compete."""
    rounds: tuple[Round, ...]
    chosen: Genotype


def refine(
    proposals: Mapping[str, Genotype],
    judge: Judge,
    *,
    share: Share,
    around: Callable[[Genotype], Sequence[Genotype]],
    rounds: int,
    moves: int,
    size_weight: float = SIZE_WEIGHT,
) -> Iterator[Sweep]:
    """The way from the proposals to the answer, the last sweep's `chosen`.

    around: the cells that the sweep around a cell begins with.
    rounds: of a sweep. Each but the first takes the best third of the one before, at least one;
        the last also has the cell that the sweep started from.
    moves: sweeps at most. A sweep that chooses its own start is the last one.
    """
    sweep = _compete(_distinct(list(proposals.values())), judge, share, rounds - 1, size_weight)
    yield sweep
    for _ in range(moves):
        start = sweep.chosen
        sweep = _sweep(start, around(start), judge, share, rounds, size_weight)
        yield sweep
        if sweep.chosen == start:
            break


def scores_of(
    cells: Sequence[Genotype], losses: Sequence[float], share: Share, size_weight: float
) -> tuple[float, ...]:
    """size_weight * share of smaller cells + share of the compared cells that have a higher loss.

    Small cells learn fastest, so that losses alone lead to small ones. Equal losses share their
    rank; both terms are in 0..1.
    """
    others = max(1, len(cells) - 1)
    return tuple(
        size_weight * share(cell)
        + sum((other > loss) + 0.5 * (other == loss) for other in losses) / others
        for cell, loss in zip(cells, losses, strict=True)
    )


def neighbours(cell: Genotype, *, allow_none: bool, fits: Fits | None = None) -> list[Genotype]:
    """The connected cells that differ from the cell on one edge; within a budget on one or two.

    With `fits`, a change that is too large comes together with one on a second edge that makes the
    cell small enough again: both parts are needed, neither fits or is a single change by itself.
    Of isomorphic cells the first counts, and the cell's own class is left out.
    """
    singles = list(_changed(cell, allow_none))
    if fits is None:
        found = singles
    else:
        found = [other for other in singles if fits(other)]
        for large in (other for other in singles if not fits(other)):
            edge = next(e for e in range(NUM_EDGES) if large.ops[e] != cell.ops[e])
            found += [
                pair for pair in _changed(large, allow_none)
                if pair.ops[edge] == large.ops[edge] and fits(pair)
            ]  # fmt: skip
    return [other for other in _distinct([cell, *found])[1:] if other.is_connected]


def _changed(cell: Genotype, allow_none: bool) -> Iterator[Genotype]:
    for edge in range(NUM_EDGES):
        for op in range(NUM_OPS):
            if op != cell.ops[edge] and (allow_none or op != NONE):
                yield cell.replace(edge, op)


def _compete(
    cells: Sequence[Genotype], judge: Judge, share: Share, last: int, size_weight: float
) -> Sweep:
    if len(cells) == 1:
        return Sweep(None, (), cells[0])
    judged = _round(last, cells, judge, share, size_weight)
    return Sweep(None, (judged,), judged.best()[0])


def _sweep(
    start: Genotype,
    around: Sequence[Genotype],
    judge: Judge,
    share: Share,
    rounds: int,
    size_weight: float,
) -> Sweep:
    if not around:
        return Sweep(start, (), start)
    cells = list(around)
    judged: list[Round] = []
    for number in range(rounds):
        if number > 0:
            cells = judged[-1].best(max(1, len(cells) // KEEP_ONE_IN))
        if number == rounds - 1:
            cells = [start, *cells]
        judged.append(_round(number, cells, judge, share, size_weight))
    return Sweep(start, tuple(judged), judged[-1].best()[0])


def _round(
    number: int, cells: Sequence[Genotype], judge: Judge, share: Share, size_weight: float
) -> Round:
    losses = judge(cells, number)
    scores = scores_of(cells, losses, share, size_weight)
    return Round(number, tuple(cells), tuple(losses), scores)


def _distinct(cells: Sequence[Genotype]) -> list[Genotype]:
    """One cell of each class, the first that is named."""
    return list({cell.canonical: cell for cell in reversed(cells)}.values())[::-1]
