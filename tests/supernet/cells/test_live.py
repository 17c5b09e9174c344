"""Live operators: against every path written out, and what dead edges are worth."""

import itertools

import numpy as np

from ops.space import EDGES, NONE
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.cells.live import live_operators

PATHS = [(3,), (0, 4), (1, 5), (0, 2, 5)]
"""Every path from node 0 to node 3, as numbers of edges."""


def test_the_paths_are_all_there_are() -> None:
    nodes = [
        (0, *middle, 3) for n in range(3) for middle in itertools.combinations((1, 2), n)
    ]  # fmt: skip
    steps = [[EDGES.index(step[::-1]) for step in itertools.pairwise(path)] for path in nodes]
    assert sorted(map(tuple, steps)) == sorted(PATHS)


def test_an_operator_is_live_when_a_path_without_none_goes_through_it() -> None:
    cells = list(all_genotypes())
    found = live_operators(np.array([cell.ops for cell in cells]))
    for cell, live in zip(cells[::7], found[::7], strict=True):
        open_paths = [p for p in PATHS if all(cell.ops[edge] != NONE for edge in p)]
        on_path = {edge for path in open_paths for edge in path}
        assert tuple(live) == tuple(op if e in on_path else NONE for e, op in enumerate(cell.ops))
    connected = [cell.is_connected for cell in cells]
    assert connected == (found != NONE).any(axis=1).tolist()


def test_an_operator_that_is_dead_may_be_any() -> None:
    # Node 1 is fed and leads nowhere; node 2 leads on and is not fed.
    cells = [Genotype.parse(code) for code in ("300200", "000203", "300203", "000200")]
    assert {tuple(row) for row in live_operators(np.array([c.ops for c in cells]))} == {
        (0, 0, 0, 2, 0, 0)
    }
