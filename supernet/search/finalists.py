"""Chooses the cells to train alone at the end of a search: its best answers, and baselines."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import torch

from ops.space import CONV1, CONV3, NUM_EDGES
from supernet.cells.genotype import Genotype
from supernet.cells.isomorphs import one_of_each_class
from supernet.cells.live import live_operators
from supernet.search.derive import Fits, connected_cells

RANDOM_CELLS = 2
"""Random cells of the answer's size that a search has to beat."""


def choose_finalists(
    answers: Iterable[Genotype],
    count: int,
    baselines: Mapping[str, Genotype],
    *,
    allow_none: bool,
    seed: int,
) -> dict[str, Genotype]:
    """Names and cells: the `count` best answers, the baselines, random cells of the answer's size.

    answers: best first. Of isomorphic ones the first counts, and where there are fewer classes
        than `count`, all of them. They are called answer, answer 2, answer 3.
    baselines: cells that need no search, by their names. One may be isomorphic to an answer.
    allow_none: whether random cells may hold the operator `none`.
    seed: of the random cells. None of them is isomorphic to another cell of the list, and where
        the answer's size has no further class there are fewer than RANDOM_CELLS.
    """
    best = list(islice(one_of_each_class(answers), count))
    named = {"answer" if n == 1 else f"answer {n}": cell for n, cell in enumerate(best, start=1)}
    named |= baselines
    drawn = one_of_each_class(
        random_of_equal_size(best[0], allow_none=allow_none, seed=seed), besides=named.values()
    )
    for number, cell in enumerate(islice(drawn, RANDOM_CELLS), start=1):
        named[f"random of equal size {number}"] = cell
    return named


def largest_cell(fits: Fits | None, seed: int) -> tuple[str, Genotype]:
    """("all 3x3", that cell), or within a budget that it breaks ("largest that fits", a cell).

    Of the connected cells without `none` that fit, it has the most parameters. Where several have
    as many, the seed draws one.
    Differs: all-3x3 is the cell that the benchmark's rows name; within a budget nobody has said
             which of the equally large cells needs no search, so none is preferred.
    """
    dense = Genotype((CONV3,) * NUM_EDGES)
    if fits is None or fits(dense):
        return "all 3x3", dense
    fitting = [cell for cell in connected_cells(False)[0] if fits(cell)]
    most = max(cell.params() for cell in fitting)
    return "largest that fits", next(
        _shuffled([cell for cell in fitting if cell.params() == most], seed)
    )


def random_of_equal_size(cell: Genotype, *, allow_none: bool, seed: int) -> Iterator[Genotype]:
    """The connected cells with as many 3x3 and 1x1 convolutions, so as many parameters and
    multiply-adds, in an order that the seed draws.

    Where `none` is allowed, those are left out that have a convolution on no path: they would be
    smaller networks than they are said to be.
    """
    cells, ops_NE = connected_cells(allow_none)
    live_NE = live_operators(ops_NE.numpy())
    size = _size(cell)
    return _shuffled(
        [
            each
            for each, live in zip(cells, live_NE.tolist(), strict=True)
            if _size(each) == _size(Genotype(tuple(live))) == size
        ],
        seed,
    )


def _size(cell: Genotype) -> tuple[int, int]:
    return cell.count(CONV1), cell.count(CONV3)


def _shuffled(cells: list[Genotype], seed: int) -> Iterator[Genotype]:
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))
    return (cells[number] for number in order.tolist())
