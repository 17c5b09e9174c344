"""Finds the best of a search's proposals, and improves it by small changes, with short trainings.

A search proposes cells by scores that see one cell, or a network of one cell a stage. What a change
of the cell does to the benchmark's fifteen stacked cells only a network of that depth shows. Fifty
steps of training show which change lets fifteen cells train, and order little else
(docs/results/trainings), so that what is known of a cell without training has its say, too.

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
from supernet.proxies.standing import LOSS_WEIGHT, Standing, scores_of
from supernet.search.derive import Fits

Judge = Callable[[Sequence[Genotype], int], list[float]]
"""(cells, number of the round) -> the held-out loss of each after a short training, in nats."""
KEEP_ONE_IN = 3
"""A round takes the best third of the one before, whose trainings are half as long."""


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
