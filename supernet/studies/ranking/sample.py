"""Chooses which cells are scored, and in which order. No torch."""

from dataclasses import dataclass

import numpy as np

from supernet.benchmark.correlation import threshold
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.proxies.free_scores import CELLS
from supernet.studies.ranking.config import RankConfig

TOP = 0.1


@dataclass(frozen=True)
class Cell:
    """One evaluated cell of the benchmark."""

    row: int
    """Row of the table."""
    index: int
    """Published index."""
    genotype: Genotype
    random: bool
    """Drawn from all cells alike, and not added from the best ones."""


def draw_cells(table: Table, config: RankConfig) -> list[Cell]:
    """`cells` random evaluated cells (0: all, by index), then `top_cells` more of the best 10 %.

    Both are drawn without replacement; the same seed gives the same cells in the same order.
    Raises: UserError when more are asked for than there are.
    """
    if config.cells > table.size:
        raise UserError(f"--cells {config.cells}: the benchmark has {table.size} cells; 0 is all")
    random = np.random.default_rng([config.seed, 0])
    rows = random.permutation(table.size)[: config.cells] if config.cells else range(table.size)
    drawn = [(int(row), True) for row in rows]
    if config.top_cells:
        truth = table.values(config.benchmark_dataset, config.top_column)
        taken = {row for row, _ in drawn}
        top = np.flatnonzero(truth >= threshold(truth, TOP))
        left = [int(row) for row in np.random.default_rng([config.seed, 1]).permutation(top)]
        left = [row for row in left if row not in taken]
        if config.top_cells > len(left):
            raise UserError(
                f"--top-cells {config.top_cells}: only {len(left)} cells of the best 10 % are left"
            )
        drawn += [(row, False) for row in left[: config.top_cells]]
    return [Cell(row, table.unique[row], table.genotypes[row], r) for row, r in drawn]


def sample_words(cells: int) -> str:
    """What a drawn sample is called: `300 random cells`, or `all 6,466 cells`."""
    return f"all {CELLS:,} cells" if cells == CELLS else f"{cells:,} random cells"
