"""Reads a cell from edge weights or gains: the strongest operator of each edge, within a budget."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.space import NONE, NUM_EDGES, NUM_OPS, SKIP
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.errors import UserError

Fits = Callable[[Genotype], bool]


@dataclass(frozen=True)
class Derivation:
    """The cell by each guide (alpha, gains, inner_gains; refined or proposed), and which of them is
    the answer."""

    cells: dict[str, Genotype]
    by: str
    gains: tuple[Tensor, Tensor]
    """(6, 5) operator gains of the whole network and without its last cell."""

    def improved(self, cell: Genotype, by: str = "refined") -> "Derivation":
        """The same with a cell that short trainings have led to, which is the answer; or with one
        that was "proposed" by scores and not trained."""
        return dataclasses.replace(self, cells={**self.cells, by: cell}, by=by)

    @property
    def chosen(self) -> Genotype:
        """The answer."""
        return self.cells[self.by]


def restriction(budgets: Mapping[str, float], num_classes: int, image_size: int) -> Fits | None:
    """Whether a cell's own network (C=16, N=5) is within all budgets; None without any.

    budgets: the most of `params` and `flops`.
    Raises: UserError when not even a cell without convolutions is.
    """
    if not budgets:
        return None

    def fits(cell: Genotype) -> bool:
        return all(
            cell.cost(metric, num_classes, image_size) <= most for metric, most in budgets.items()
        )

    smallest = Genotype((SKIP,) * NUM_EDGES)
    for metric, most in budgets.items():
        least = smallest.cost(metric, num_classes, image_size)
        if least > most:
            raise UserError(
                f"no cell has {metric} of {most:,.0f} or less; the smallest has {least:,} on these "
                f"images: raise --max-{metric}"
            )
    return fits


def argmax_cell(w_EO: Tensor, allow_none: bool, fits: Fits | None = None) -> Genotype:
    """The strongest operator of each edge, `none` left out unless allowed.

    With `fits`, of the connected cells that do the most probable one when each edge draws its
    operator from w_EO: the maximum of prod_e w[e, op_e], exact over all 15,625 cells.
    """
    if fits is not None:
        return next(best_first(w_EO, allow_none, fits))
    w_EO = w_EO.detach().clone()
    if not allow_none:
        w_EO[:, NONE] = -1
    return Genotype(tuple(w_EO.argmax(dim=1).tolist()))


def best_first(w_EO: Tensor, allow_none: bool, fits: Fits | None = None) -> Iterator[Genotype]:
    """The connected cells that fit, by falling prod_e w[e, op_e]; of equal ones the lower code."""
    cells, ops_NE = connected_cells(allow_none)
    log_w = w_EO.detach().cpu().double().clamp_min(1e-30).log()
    log_p = log_w[torch.arange(NUM_EDGES), ops_NE].sum(dim=1)
    order = (cells[number] for number in log_p.argsort(descending=True, stable=True).tolist())
    return order if fits is None else filter(fits, order)


@functools.cache
def connected_cells(allow_none: bool) -> tuple[list[Genotype], Tensor]:
    """The cells with a path from input to output, and their operators (cells, 6)."""
    cells = [
        cell
        for cell in all_genotypes()
        if cell.is_connected and (allow_none or cell.count(NONE) == 0)
    ]
    return cells, torch.tensor([cell.ops for cell in cells])


def may_be_answer(cell: Genotype, allow_none: bool, fits: Fits | None) -> bool:
    """Whether a cell is connected, within the budgets, and without `none` unless that is allowed.

    Dead edges count: the network of a cell that has some has their convolutions.
    """
    allowed = allow_none or cell.count(NONE) == 0
    return cell.is_connected and allowed and (fits is None or fits(cell))


def refuse_unfit(codes: Sequence[str], allow_none: bool, fits: Fits | None) -> None:
    """Raises: UserError for the first of these codes whose cell may not be the answer."""
    for code in codes:
        cell = Genotype.parse(code)
        if may_be_answer(cell, allow_none, fits):
            continue
        if not cell.is_connected:
            why, remedy = "has no path from input to output", "name another cell"
        elif cell.count(NONE) and not allow_none:
            why, remedy = "holds none", "name another cell, or allow it with --derive-none"
        else:
            why, remedy = "is too large", "name another cell, or raise the budget"
        raise UserError(f"--proposals {code} may not be the answer: it {why}; {remedy}")


def uniform_cell(generator: torch.Generator, allow_none: bool) -> Genotype:
    """A connected cell, all equally likely; without `none` unless allowed."""
    least = 0 if allow_none else NONE + 1
    while True:
        ops = torch.randint(least, NUM_OPS, (NUM_EDGES,), generator=generator).tolist()
        cell = Genotype(tuple(ops))
        if cell.is_connected:
            return cell


def derive(
    w_EO: Tensor,
    gains: tuple[Tensor, Tensor],
    *,
    by: str,
    allow_none: bool,
    fits: Fits | None = None,
) -> Derivation:
    """The argmax cells of alpha's edge weights and of the two kinds of gains, in that order.

    Shapes: w_EO (6, 5); gains two of (6, 5), of the whole network and without its last cell.
    With `fits`, all of them among the cells that fit.
    """
    guides = {"alpha": w_EO, "gains": weights_of(gains[0]), "inner_gains": weights_of(gains[1])}
    cells = {name: argmax_cell(guide, allow_none, fits) for name, guide in guides.items()}
    return Derivation(cells, by, gains)


def weights_of(gains_EO: Tensor) -> Tensor:
    """Gains as edge weights, softmax(g). They order cells as the sums of gains do, since the log of
    a softmax is g less a constant of the edge."""
    return gains_EO.softmax(dim=1)


def mean_gains(gains: Sequence[Tensor]) -> Tensor:
    """The gains of several searches as one: mean over them of g / rms(g), each (6, 5).

    One search's gains are a draw, and so is the cell they lead to. Their scale depends on how far
    its training came; divided by their root mean square (of 30 numbers whose mean is 0), all count
    alike. Zero gains count as they are.
    """
    scaled = [g_EO / g_EO.square().mean().sqrt().clamp_min(1e-30) for g_EO in gains]
    return torch.stack(scaled).mean(dim=0)
