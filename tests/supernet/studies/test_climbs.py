"""Moves by a score alone: they end where no neighbour is better, and pages show the ranks."""

import itertools
from pathlib import Path

from ops.space import NONE
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.search.refine import neighbours
from supernet.studies.climbs import climbed, markdown

STARTS = [Genotype.parse(code) for code in ("444444", "123412", "333133")]
ROOT = Path(__file__).parents[3]


def test_every_move_takes_the_best_neighbour_until_none_is_better(real: Table) -> None:
    truth = real.values("cifar10", "pgd_8")
    for start, record in zip(STARTS, climbed(real, truth, STARTS), strict=True):
        way = [Genotype.parse(code) for code in record["way"]]
        assert way[0] == start and record["start"] == start.code
        values = [truth[real.row(cell)] for cell in way]
        assert values == sorted(values) and len(set(values)) == len(values)
        for here, there in itertools.pairwise(way):
            assert sum(a != b for a, b in zip(here.ops, there.ops, strict=True)) == 1
            around = [truth[real.row(cell)] for cell in neighbours(here, allow_none=False)]
            assert truth[real.row(there)] == max(around)
        last = [truth[real.row(cell)] for cell in neighbours(way[-1], allow_none=False)]
        assert max(last) <= values[-1] and not any(cell.count(NONE) for cell in way)
        assert record["ranks"]["cifar10"] == sorted(record["ranks"]["cifar10"], reverse=True)


def test_a_way_that_has_ended_counts_where_it_ended() -> None:
    ranks = {"cifar10": [9, 5, 1], "cifar100": [9, 5, 2], "imagenet16-120": [9, 4, 3]}
    short = {name: [7] for name in ranks}
    ways = [{"way": ["a", "b", "c"], "ranks": ranks}, {"way": ["d"], "ranks": short}]
    table = markdown({"cells": ways})[-1].splitlines()
    assert table[2] == "| 2 cells | CIFAR-10 | 8 | 6 | 4 | 4 | 4 | 1 (2) |"


def test_the_page_about_trainings_says_where_ways_end(real: Table) -> None:
    from supernet.proxies.ensemble import SUMS, rank_sum
    from supernet.proxies.free_scores import parts_of_sums

    (record,) = climbed(
        real, rank_sum(parts_of_sums(real), SUMS["free"]), [Genotype.parse("312343")]
    )
    assert record["way"] == ["312343", "312313"]
    text = (ROOT / "docs" / "results" / "trainings" / "README.md").read_text()
    assert "312343" in text and "312313" in text
