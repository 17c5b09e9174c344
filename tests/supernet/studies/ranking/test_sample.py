"""Which cells are drawn."""

import dataclasses

import pytest

from supernet.benchmark.correlation import threshold
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.sample import draw_cells, sample_words


def test_all_cells_are_the_evaluated_ones_by_index(invented: Table) -> None:
    cells = draw_cells(invented, RankConfig(cells=0))
    assert [cell.index for cell in cells] == invented.unique
    assert all(cell.random for cell in cells)


def test_a_sample_is_random_distinct_and_repeatable(invented: Table) -> None:
    cells = draw_cells(invented, RankConfig(cells=200))
    assert len({cell.index for cell in cells}) == 200
    assert cells == draw_cells(invented, RankConfig(cells=200))
    assert cells != draw_cells(invented, RankConfig(cells=200, seed=1))
    # Asking for more keeps the beginning, so that a longer ranking is comparable.
    assert draw_cells(invented, RankConfig(cells=250))[:200] == cells
    for cell in cells:
        assert invented.order.index(cell.genotype) == cell.index
        assert invented.unique[cell.row] == cell.index


def test_added_cells_are_of_the_best_tenth_and_new(invented: Table) -> None:
    config = RankConfig(cells=300, top_cells=50, top_column="clean")
    cells = draw_cells(invented, config)
    truth = invented.values("cifar10", "clean")
    added = [cell for cell in cells if not cell.random]
    assert len(added) == 50 and len({cell.index for cell in cells}) == 350
    assert min(truth[cell.row] for cell in added) >= threshold(truth, 0.1)
    assert cells[:300] == draw_cells(invented, dataclasses.replace(config, top_cells=0))


def test_more_than_there_are(invented: Table) -> None:
    with pytest.raises(UserError, match="--cells 6467: the benchmark has 6466 cells; 0 is all"):
        draw_cells(invented, RankConfig(cells=6467))
    with pytest.raises(UserError, match="--top-cells 9000: only"):
        draw_cells(invented, RankConfig(cells=1, top_cells=9000))
    with pytest.raises(UserError, match="only 0 cells of the best 10 % are left"):
        draw_cells(invented, RankConfig(cells=0, top_cells=1))


def test_a_sample_has_a_name(invented: Table) -> None:
    everything = len(draw_cells(invented, RankConfig(cells=0)))
    assert sample_words(everything) == "all 6,466 cells"
    assert sample_words(everything - 1) == "6,465 random cells"
