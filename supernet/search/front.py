"""The front that any finished search gives: of every size, the cell that gains most."""

from collections.abc import Callable

from torch import Tensor

from supernet.cells.genotype import Genotype
from supernet.search.derive import Fits, connected_cells
from supernet.search.gains import gain_of


def front_by_gains(
    gains_EO: Tensor,
    size: Callable[[Genotype], int],
    *,
    allow_none: bool,
    fits: Fits | None = None,
) -> list[tuple[Genotype, float]]:
    """For each size that a cell can have, the cell with the largest sum of gains and that sum.

    Sizes do not compete: a size is exact and a gain is an estimate, so the answer is a menu from
    small to large and not a set of which none dominates another. Only connected cells that fit.

    Shapes: gains_EO (6, 5).
    """
    best: dict[int, tuple[Genotype, float]] = {}
    for cell in connected_cells(allow_none)[0]:
        if fits is not None and not fits(cell):
            continue
        gain, cost = gain_of(cell, gains_EO), size(cell)
        if cost not in best or gain > best[cost][1]:
            best[cost] = (cell, gain)
    return [best[cost] for cost in sorted(best)]
