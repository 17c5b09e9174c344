"""What orders the cells of a sweep: the standing without training, and the losses. No torch."""

from collections.abc import Callable, Sequence

from supernet.cells.genotype import Genotype

Standing = Callable[[Genotype], float]
"""What is known of a cell without training, in standard deviations of all cells."""

LOSS_WEIGHT = 0.3
"""Weight of the share of cells that are behind by loss against the standing, in `scores_of`. With
more, cells win that learn fast and end badly."""


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


def _higher(loss: float, losses: Sequence[float]) -> float:
    """How many losses are higher; an equal one counts half, and the loss's own not at all."""
    return sum((other > loss) + 0.5 * (other == loss) for other in losses) - 0.5
