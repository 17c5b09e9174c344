"""The study of proposals: the truth as a score is perfect; published numbers that are claimed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark.menus import Cover
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.search.proposals import propose
from supernet.studies import proposals, weightings
from supernet.studies.proposals import gains_of, judged_all, markdown

GAINS = np.random.default_rng(0).normal(size=(6, 5)).tolist()


@pytest.fixture(scope="module")
def record(real: Table) -> dict[str, Any]:
    searches = [{"dataset": "cifar10", "seed": n, "inner_gains": GAINS} for n in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proposals, "random_menus", lambda *_: {"hypervolume_ratio": 0.5})
        patch.setattr(weightings, "MOST", 1)
        return judged_all(real, searches)


def test_the_truth_is_perfect_and_its_opposite_is_not(real: Table) -> None:
    plain, menu = (
        propose(real, GAINS, ("cifar100",), follows_prior=False, robust=True, allow_none=none)
        for none in (False, True)
    )
    cover, truth = Cover(real, "cifar10"), real.values("cifar10", "pgd_8")
    starts = proposals._starts(real, "cifar10")
    best, worst = (
        proposals._record(s, plain, menu, cover, starts) for s in (truth, truth.max() - truth)
    )
    assert best["kendall"] == best["kendall_top_10"] == pytest.approx(1)
    assert worst["kendall"] == pytest.approx(-1)
    assert best["rank"] == best["best_of_ten"] == 1 and worst["rank"] > 6000
    assert all(with_none == 0 for _, with_none in best["regret"].values())
    # Within 0.4 M the best cell holds none.
    assert 0 < best["regret"]["400000"][0] < worst["regret"]["400000"][0]
    assert 0 < best["regret"]["mean"][0] < worst["regret"]["mean"][1] <= worst["regret"]["mean"][0]
    assert best["neighbours"] == {"any": [0, 0, 0], "best": [0, 0, 0]}
    assert min(worst["neighbours"]["any"]) > 0
    assert 0.99 < best["menus"][0] <= best["menus"][1] <= best["menus"][2] <= 1
    assert worst["menus"][2] < best["menus"][0]


@pytest.mark.slow
def test_guides_with_gains_have_a_record_for_each_search(record: dict[str, Any]) -> None:
    numbers = {
        part["dataset"]: {name: len(records) for name, records in part["guides"].items()}
        for part in record["judged"]
    }
    assert numbers["cifar10"]["prior + free + gains"] == numbers["cifar10"]["gains"] == 2
    assert numbers["cifar10"]["free"] == 1
    assert "gains" not in numbers["cifar100"]


def test_what_stands_in_comments_and_pages(record: dict[str, Any]) -> None:
    """Rank of the best cell by free scores; menus; Kendall of the prior, alone and helped."""
    for part, rank, menu, tau in zip(
        record["judged"], (5, 1, 2), (0.989, 0.984, 0.977), (0.81, 0.86, 0.70), strict=True
    ):
        guides = {name: records[0] for name, records in part["guides"].items()}
        assert guides["free"]["rank"] == rank
        assert guides["menu"]["menus"][2] > menu > guides["synflow"]["menus"][2]
        assert guides["menu"]["regret"]["mean"][1] < guides["free"]["regret"]["mean"][1]
        assert guides["prior"]["kendall"] == pytest.approx(tau, abs=0.01)
        assert guides["prior"]["kendall_top_10"] > guides["prior, mean of ranks"]["kendall_top_10"]
        assert guides["prior"]["menus"][2] > 0.99


def test_the_page(record: dict[str, Any]) -> None:
    lines = markdown(record).splitlines()
    free = record["judged"][0]["guides"]["free"][0]
    start = f"| free | {free['kendall']:.3f} | {free['kendall_top_10']:.3f} | 5 |"
    assert any(line.startswith(start) for line in lines)
    assert sum(line.startswith("| gains (2 searches) |") for line in lines) == 1
    assert sum(line.startswith("| random menus |") for line in lines) == 3
    assert sum(line.startswith("## ") for line in lines) == 3 + 2
    lines = lines[: lines.index("## Other weights of the sum of free scores")]
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert widths == {len(proposals.HEADER) + 1}


def test_gains_come_from_searches_that_the_benchmark_can_judge(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    good = {"dataset": "cifar100", "seed": 3, "derivation": {"inner_gains": GAINS}}
    path.write_text(json.dumps(good))
    assert gains_of(path) == {
        "path": str(path), "dataset": "cifar100", "seed": 3, "inner_gains": GAINS,
    }  # fmt: skip
    for change in ({"dataset": "digits"}, {"derivation": {}}):
        path.write_text(json.dumps(good | change))
        with pytest.raises(UserError, match=r"genotype\.json is not of a search on cifar10, cif"):
            gains_of(path)
