"""Other weights of the sum of free scores, against a plain search through all of them."""

import itertools
from typing import Any

import numpy as np
import pytest

from supernet.benchmark.correlation import kendall
from supernet.benchmark.table import DATASETS, Table
from supernet.proxies.ensemble import rank_sum
from supernet.proxies.free_scores import parts_of_sums
from supernet.studies import weightings
from supernet.studies.weightings import PARTS, judged_weightings, markdown


@pytest.fixture(scope="module")
def few(real: Table) -> dict[str, Any]:
    """With every part in or out: 31 weightings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weightings, "MOST", 1)
        return judged_weightings(real, _without_none(real))


def _without_none(table: Table) -> Any:
    return np.array([0 not in cell.ops for cell in table.genotypes])


def test_multiples_of_a_weighting_count_once() -> None:
    made = list(weightings.all_weightings())
    assert (1, 1, 1, 1, 1) in made and (2, 2, 2, 2, 2) not in made and (0,) * 5 not in made
    # 1,024 of five numbers to 3; without zeros alone, and all twos and all threes beside ones.
    assert len(made) == 4**5 - 1 - 2 * (2**5 - 1)


def test_best_cells_and_what_other_data_sets_choose(few: dict[str, Any], real: Table) -> None:
    rows, parts = np.flatnonzero(_without_none(real)), parts_of_sums(real)
    found: dict[tuple[int, ...], tuple[int, list[float]]] = {}
    for weights in itertools.product((0, 1), repeat=5):
        if any(weights):
            sum_R = rank_sum(parts, dict(zip(PARTS, weights, strict=True)))
            taus = [kendall(sum_R[rows], real.values(name, "pgd_8")[rows]) for name in DATASETS]
            found[weights] = (int(rows[np.argmax(sum_R[rows])]), taus)
    assert few["number"] == len(found) == sum(few["cells"].values())
    for number, name in enumerate(DATASETS):
        ranks = real.ranks(name, "pgd_8")
        mine = [int(ranks[row]) for row, _ in found.values()]
        record = few["datasets"][number]
        assert record["quartiles"][1] == np.median(mine)
        assert record["top"] == pytest.approx(sum(rank <= 64 for rank in mine) / len(mine))
        others = [n for n in range(3) if n != number]
        best = max(found, key=lambda w: sum(found[w][1][n] for n in others))
        by_tau = record["held_out"]["kendall"]
        assert (by_tau["alike"], by_tau["weights"]) == (1, list(best))
        assert by_tau["rank"] == ranks[found[best][0]]
        columns = [real.ranks(DATASETS[n], "pgd_8") for n in others]
        least = min(np.prod([column[row] for column in columns]) for row, _ in found.values())
        alike = [
            row for row, _ in found.values()
            if np.prod([column[row] for column in columns]) == least
        ]  # fmt: skip
        by_rank = record["held_out"]["rank"]
        assert by_rank["alike"] == len(alike) and by_rank["rank"] == np.median(ranks[alike])


def test_the_section(few: dict[str, Any]) -> None:
    head, text, table = markdown(few)
    assert head.startswith("## ") and "All 31 weightings" in text
    code, number = next(iter(few["cells"].items()))
    assert f"`{code}` ({number})" in text
    assert len(table.splitlines()) == 2 + len(DATASETS)
