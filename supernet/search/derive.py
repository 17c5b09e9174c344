"""From edge weights to cells: the strongest operators, and the best of the most probable cells."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.space import NONE, NUM_EDGES, NUM_OPS
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.studies.ranking.predictor import CellScore

Fits = Callable[[Genotype], bool]


@dataclass(frozen=True)
class Derivation:
    """All answers: the argmax of alpha and, where they were asked for, of both kinds of gains, and
    the best-scored cell."""

    argmax: Genotype
    """Of alpha's edge weights."""
    scores: tuple[CellScore, ...] = ()
    """Best first; empty where no cell was scored."""
    gains: tuple[Tensor, Tensor] | None = None
    """(6, 5) operator gains of the whole network and without its last cell."""
    by_gains: tuple[Genotype, Genotype] | None = None
    """The argmax of both."""
    by: str = "alpha"
    """What the search is derived by: alpha, gains or inner_gains."""

    @property
    def chosen(self) -> Genotype:
        """The best-scored cell; without scores the argmax of what the search is derived by."""
        if self.scores:
            return self.scores[0].genotype
        if self.by_gains is None:
            return self.argmax
        return self.by_gains[self.by == "inner_gains"]

    @property
    def chosen_by(self) -> str:
        """score, alpha, gains or inner_gains."""
        return "score" if self.scores else self.by


def argmax_cell(w_EO: Tensor, allow_none: bool, fits: Fits | None = None) -> Genotype:
    """The strongest operator of each edge, `none` left out unless allowed.

    With `fits`, the most probable connected cell of those that do, found among all 15,625.
    """
    if fits is not None:
        return probable_cells(w_EO, 1, allow_none, fits)[0]
    w_EO = w_EO.detach().clone()
    if not allow_none:
        w_EO[:, NONE] = -1
    return Genotype(tuple(w_EO.argmax(dim=1).tolist()))


@functools.cache
def connected_cells(allow_none: bool) -> tuple[list[Genotype], Tensor]:
    """The cells with a path from input to output, and their operators (cells, 6)."""
    cells = [
        cell
        for cell in all_genotypes()
        if cell.is_connected and (allow_none or cell.count(NONE) == 0)
    ]
    return cells, torch.tensor([cell.ops for cell in cells])


def uniform_cell(generator: torch.Generator, allow_none: bool) -> Genotype:
    """A connected cell, all equally likely; without `none` unless allowed."""
    least = 0 if allow_none else NONE + 1
    while True:
        ops = torch.randint(least, NUM_OPS, (NUM_EDGES,), generator=generator).tolist()
        cell = Genotype(tuple(ops))
        if cell.is_connected:
            return cell


def probable_cells(
    w_EO: Tensor, count: int, allow_none: bool, fits: Fits | None = None
) -> list[Genotype]:
    """The `count` most probable cells when each edge draws its operator from w_EO independently.

    p(cell) = prod_e w[e, op_e], over all 15,625 cells exactly. Of isomorphic cells only the most
    probable is kept, and disconnected cells are left out, as are those that do not fit. The argmax
    cell comes first if it is neither.
    """
    cells, ops_NE = connected_cells(allow_none)
    log_w = w_EO.detach().cpu().double().clamp_min(1e-30).log()
    log_p = log_w[torch.arange(log_w.shape[0]), ops_NE].sum(dim=1)
    found: dict[str, Genotype] = {}
    for number in log_p.argsort(descending=True, stable=True).tolist():
        if fits is None or fits(cells[number]):
            found.setdefault(cells[number].canonical, cells[number])
        if len(found) == count:
            break
    return list(found.values())


def derive(
    w_EO: Tensor,
    *,
    allow_none: bool,
    by: str = "alpha",
    gains: tuple[Tensor, Tensor] | None = None,
    candidates: int = 0,
    score: Callable[[Genotype], CellScore] | None = None,
    robust_weight: float = 0.5,
    progress: Callable[[Iterable[Genotype]], Iterable[Genotype]] = iter,
    fits: Fits | None = None,
) -> Derivation:
    """The argmax cell of edge weights (6, 5), and of operator gains (6, 5) of the whole network and
    of its inner cells where they are given; with `score`, also the best of the cells that `by`
    (alpha, gains or inner_gains) makes most probable.

    With `fits`, all among the cells that do (those within a budget).
    The scores select among the candidates on the images they are measured on, by the loss: they
    rank cells and are no estimate of what a cell reaches when it is trained alone.
    """
    argmax, by_gains = argmax_cell(w_EO, allow_none, fits), None
    if gains is not None:
        whole, inner = (weights_of(g_EO) for g_EO in gains)
        by_gains = argmax_cell(whole, allow_none, fits), argmax_cell(inner, allow_none, fits)
        w_EO = {"alpha": w_EO, "gains": whole, "inner_gains": inner}[by]
    scores: list[CellScore] = []
    if score is not None:
        cells = probable_cells(w_EO, candidates, allow_none, fits)
        scores = [score(cell) for cell in progress(cells)]
        # Stable: among equal scores the more probable cell wins.
        scores.sort(key=lambda s: -s.value(robust_weight))
    return Derivation(argmax, tuple(scores), gains, by_gains, by)


def weights_of(gains_EO: Tensor) -> Tensor:
    """Gains as edge weights, softmax(g): the order of cells by the sum of their gains is that by
    the product of these, since log softmax(g) is g but for a constant of each edge."""
    return gains_EO.softmax(dim=1)


def mean_gains(gains: Sequence[Tensor]) -> Tensor:
    """The gains of several searches as one: mean over them of g / rms(g), each (6, 5).

    One search's gains are a draw, and so is the cell they lead to. Their scale depends on how far
    its training came; divided by their root mean square (of 30 numbers whose mean is 0), all count
    alike. Zero gains count as they are.
    """
    scaled = [g_EO / g_EO.square().mean().sqrt().clamp_min(1e-30) for g_EO in gains]
    return torch.stack(scaled).mean(dim=0)
