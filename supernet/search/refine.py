"""Finds the best of a search's proposals, and improves it by small changes, with short trainings.

A search proposes cells by scores that see one cell, or a network of one cell a stage. What a change
of the cell does to the benchmark's fifteen stacked cells only a network of that depth shows, and a
hundred steps of training are enough to show it (docs/results/search.md).

First the proposals are trained: all for a few steps, the better third anew for more steps, and so
on (successive halving). Then, at most twice, the neighbours of the best cell are, together with the
cell itself in the last round, which decides whether to move.

No round trains on: each starts anew with a schedule of its own length and another seed, so that
luck in one round is not luck in the next.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ops.space import NONE, NUM_EDGES
from supernet.cells.genotype import Genotype
from supernet.cells.isomorphs import one_of_each_class
from supernet.search.derive import Fits

Judge = Callable[[Sequence[Genotype], int], list[float]]
"""(cells, number of the round) -> the held-out loss of each after a short training, in nats."""
Standing = Callable[[Genotype], float]
"""What is known of a cell without training, in standard deviations of all cells."""

KEEP_ONE_IN = 3
"""A round takes the best third of the one before, whose trainings are half as long."""
LOSS_WEIGHT = 0.3
"""Weight of the share of cells that are behind by loss against the standing, in `scores_of`. With
more, cells win that learn fast and end badly."""


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
    """The cell whose neighbours these are; None where they are the proposals."""
    rounds: tuple[Round, ...]
    chosen: Genotype


def refine(
    proposals: Iterable[Genotype],
    judge: Judge,
    *,
    standing: Standing,
    around: Callable[[Genotype], Sequence[Genotype]],
    rounds: int,
    moves: int,
    loss_weight: float = LOSS_WEIGHT,
) -> Iterator[Sweep]:
    """The way from the proposals to the answer: the last sweep's `chosen`.

    around: the cells that the sweep around a cell begins with.
    rounds: of a sweep. Each but the first takes the best third of the one before, at least one;
        the last also has the cell that the sweep started from.
    moves: sweeps around a cell at most. One that chooses its own start is the last.
    """
    settings = (judge, standing, rounds, loss_weight)
    sweep = _sweep(None, list(one_of_each_class(proposals)), *settings)
    yield sweep
    for _ in range(moves):
        start = sweep.chosen
        sweep = _sweep(start, around(start), *settings)
        yield sweep
        if sweep.chosen == start:
            break


def scores_of(
    cells: Sequence[Genotype],
    losses: Sequence[float],
    standing: Standing,
    loss_weight: float,
    dropped: int = 0,
) -> tuple[float, ...]:
    """standing + loss_weight * the share of the sweep's other cells that are behind by loss.

    Small cells learn fastest, so that losses alone lead to small ones; the standing holds against
    it. Equal losses share their rank. dropped: cells of the sweep that lost in a round before.
    """
    others = max(1, len(cells) + dropped - 1)
    return tuple(
        standing(cell) + loss_weight * (_higher(loss, losses) + dropped) / others
        for cell, loss in zip(cells, losses, strict=True)
    )


def standings_of(
    rounds: Sequence[tuple[Sequence[str], Sequence[float], Sequence[float]]], *, with_start: bool
) -> dict[str, float]:
    """The standing of every cell of a sweep, from its rounds' cells, losses and scores.

    It is `scores_of` the other way round. with_start: whether the sweep started from a cell, which
    takes part in the last round alone.
    """
    standings = {}
    for number, (cells, losses, scores) in enumerate(rounds):
        dropped = len(rounds[0][0]) + with_start - len(cells) if number > 0 else 0
        others = max(1, len(cells) + dropped - 1)
        for cell, loss, score in zip(cells, losses, scores, strict=True):
            standings[cell] = score - LOSS_WEIGHT * (_higher(loss, losses) + dropped) / others
    return standings


def neighbours(cell: Genotype, *, allow_none: bool, fits: Fits | None = None) -> list[Genotype]:
    """The connected cells that differ from the cell on one edge; within a budget on one or two.

    With `fits`, a change that is too large comes together with one on a second edge that makes the
    cell small enough again. Of isomorphic cells the first counts, and the cell's own class is left
    out.
    """
    singles = _changed(cell, allow_none)
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
    return [other for other in one_of_each_class(found, [cell]) if other.is_connected]


def _changed(cell: Genotype, allow_none: bool) -> list[Genotype]:
    return [other for other in cell.neighbours() if allow_none or not other.count(NONE)]


def _sweep(
    start: Genotype | None,
    cells: Sequence[Genotype],
    judge: Judge,
    standing: Standing,
    rounds: int,
    loss_weight: float,
) -> Sweep:
    own = [] if start is None else [start]
    if not cells:
        return Sweep(start, (), own[0])
    compared: Sequence[Genotype] = cells
    judged: list[Round] = []
    known = len(cells) + len(own)
    for number in range(rounds):
        if number > 0:
            cells = judged[-1].best(max(1, len(cells) // KEEP_ONE_IN))
        last = number == rounds - 1
        compared = [*own, *cells] if last else cells
        if len(compared) == 1 and not own:
            break
        losses = judge(compared, number)
        dropped = known - len(compared) if number > 0 else 0
        scores = scores_of(compared, losses, standing, loss_weight, dropped)
        judged.append(Round(number, tuple(compared), tuple(losses), scores))
    return Sweep(start, tuple(judged), judged[-1].best()[0] if judged else compared[0])


def _higher(loss: float, losses: Sequence[float]) -> float:
    """How many losses are higher; an equal one counts half, and the loss's own not at all."""
    return sum((other > loss) + 0.5 * (other == loss) for other in losses) - 0.5
