"""Names and numbers in words."""

import pytest

from supernet.benchmark.rows import baseline_rows
from supernet.benchmark.table import COLUMNS, COSTS, DATASETS, Table
from supernet.report.words import (
    COLUMN_TITLES,
    DATASET_TITLES,
    baseline_name,
    better_than,
    column_name,
    dataset_name,
    duration,
    percent,
    pixels,
    points,
    standing,
)


def test_every_column_and_data_set_has_a_title() -> None:
    assert set(COLUMN_TITLES) == {*COLUMNS, *COSTS} and set(DATASET_TITLES) == set(DATASETS)
    assert column_name("pgd_8") == "PGD-20 8/255" and column_name("other") == "other"
    assert dataset_name("imagenet16-120") == "ImageNet16-120" and dataset_name("digits") == "digits"


@pytest.mark.parametrize(
    ("rank", "text"),
    [
        (1, "rank 1 of 6,466, better than 99.9 % of cells"),
        (34, "rank 34 of 6,466, better than 99.4 % of cells"),
        (66, "rank 66 of 6,466, better than 98 % of cells"),
        (4965, "rank 4,965 of 6,466, better than 23 % of cells"),
        (6466, "rank 6,466 of 6,466, better than 0 % of cells"),
    ],
)
def test_a_rank_is_said_so_that_a_bad_one_reads_as_bad(rank: int, text: str) -> None:
    assert standing(rank) == text


def test_better_than_counts_the_cells_behind(real: Table) -> None:
    values = real.values("cifar100", "pgd_8")
    for value in sorted(values)[::500]:
        behind = 100 * (values < value).mean()
        rank = real.rank_of_value(value, "cifar100", "pgd_8")
        assert float(better_than(rank, real.size).removesuffix(" %")) == pytest.approx(
            behind, abs=1
        )


def test_rows_without_a_search_have_plain_names(invented: Table) -> None:
    rows = baseline_rows(invented, "cifar100", "clean", best_of=(1, 50))
    assert [baseline_name(row) for row in rows] == [
        "all 3x3",
        "all skip",
        "one random cell (expected)",
        "best of 50 random cells (expected)",
    ]


def test_unknown_is_a_dash() -> None:
    assert percent(None) == "-" and percent(0.47794) == "47.79 %" and points(0.47794) == "47.79"


@pytest.mark.parametrize(
    ("eps", "text"),
    [(8 / 255, "8/255"), (2.5 / 255, "2.5/255"), (32 / 255, "32/255"), (1 / 300, "0.85/255"),
     (0.123456, "0.1235")],
)  # fmt: skip
def test_radii_are_named_as_in_papers(eps: float, text: str) -> None:
    assert pixels(eps) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.3, "< 1 s"), (9.6, "10 s"), (95, "1 min 35 s"), (3660, "1 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
