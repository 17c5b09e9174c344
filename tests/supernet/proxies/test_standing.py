"""What orders the cells of a sweep."""

import pytest

from supernet.cells.genotype import Genotype
from supernet.proxies.standing import LOSS_WEIGHT, scores_of, standings_of


def test_the_score_is_the_standing_and_the_share_of_cells_behind() -> None:
    cells = [Genotype.parse(code) for code in ("333333", "111111", "222222", "444444")]
    losses = [2.0, 1.0, 2.0, 3.0]
    standing = {cell: 0.1 * n for n, cell in enumerate(cells)}
    found = scores_of(cells, losses, standing.__getitem__, 0.5)
    behind = [1.5, 3, 1.5, 0]  # of equal losses each counts half
    assert found == pytest.approx([0.1 * n + 0.5 * b / 3 for n, b in enumerate(behind)])
    # Two more were dropped before: every cell here is ahead of them.
    found = scores_of(cells, losses, lambda cell: 0.0, 0.5, dropped=2)
    assert found == pytest.approx([0.5 * (b + 2) / 5 for b in behind])


def test_standings_come_back_from_the_scores_of_every_round() -> None:
    standing = {"333333": 1.0, "333133": 1.5, "133333": 0.5, "333123": 1.25}

    def scored(cells: list[str], losses: list[float], dropped: int) -> tuple[float, ...]:
        known = [Genotype.parse(code) for code in cells]
        return scores_of(known, losses, lambda cell: standing[cell.code], LOSS_WEIGHT, dropped)

    first, losses = ["333133", "133333", "333123"], [2.0, 2.25, 2.25]
    last, later = ["333333", "333133"], [1.75, 1.5]
    rounds = [(first, losses, scored(first, losses, 0)), (last, later, scored(last, later, 2))]
    assert standings_of(rounds, with_start=True) == pytest.approx(standing)
