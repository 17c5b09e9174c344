"""The table of a ranking on scores whose quality is known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from supernet.benchmark.correlation import kendall
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.proxies.ensemble import SUMS
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.judge import (
    check_columns,
    check_combinations,
    judge_scores,
    markdown,
    oriented_scores,
    truth_of,
)
from supernet.studies.ranking.sample import draw_cells

CONFIG = RankConfig(cells=80, bootstrap=30, combine=("oracle+parameters",))


def _records(table: Table, config: RankConfig) -> list[dict[str, dict[str, float]]]:
    """`oracle` is the truth; two scores of which less is better, its negative."""
    truth = table.values("cifar10", "pgd_8")
    return [
        {
            "scores": {
                "oracle": truth[cell.row],
                "ntk_clean_cond": -truth[cell.row],
                "supernet_robust_loss": -truth[cell.row],
                "flat": 1.0,
            }
        }
        for cell in draw_cells(table, config)
    ]


@pytest.mark.slow
def test_rows_and_directions(invented: Table) -> None:
    cells = draw_cells(invented, CONFIG)
    ranking = judge_scores(CONFIG, invented, cells, _records(invented, CONFIG))
    rows = ranking["rows"]["pgd_8"]
    lower = ["ntk_clean_cond", "supernet_robust_loss"]
    names = ["oracle", *lower, "flat", "parameters", "oracle+parameters"]
    assert list(rows) == [*names, "one-hot ridge"]
    for name in ("oracle", *lower):
        assert rows[name]["all"]["kendall"]["value"] == pytest.approx(1)
        assert rows[name]["regret"] == 0
        assert rows[name]["equal_size"]["value"] == pytest.approx(1)
    assert rows["flat"]["all"]["kendall"]["value"] is None
    truth = invented.values("cifar10", "pgd_8")[[cell.row for cell in cells]]
    params = np.array([cell.genotype.params() for cell in cells])
    assert rows["parameters"]["all"]["kendall"]["value"] == pytest.approx(kendall(params, truth))
    # The invented table is noise: a linear model that has seen a cell's truth would fit some of it.
    assert abs(rows["one-hot ridge"]["all"]["spearman"]["value"]) < 0.35
    assert rows["parameters"]["equal_size"]["value"] is None
    combined = rows["oracle+parameters"]["all"]["kendall"]["value"]
    assert kendall(params, truth) < combined < 1
    assert ranking["rows"]["clean"]["oracle"]["all"]["kendall"]["value"] < 0.5
    assert ranking["cells"] == 80 and ranking["config"]["seed"] == 0


@pytest.mark.slow
def test_sums_appear_with_their_parts(invented: Table) -> None:
    """jacob_cov as the truth itself: the sum says by how much it beats parameters."""
    config = dataclasses.replace(CONFIG, combine=())
    cells = draw_cells(invented, config)
    truth = invented.values("cifar10", "pgd_8")[[cell.row for cell in cells]]
    records = [{"scores": {"jacob_cov": value}} for value in truth]
    ranking = judge_scores(config, invented, cells, records)
    rows = ranking["rows"]["pgd_8"]
    assert "params+jacob_cov" in rows
    difference = rows["params+jacob_cov"]["minus_parameters"]["all"]
    gained = [rows[n]["all"]["kendall"]["value"] for n in ("params+jacob_cov", "parameters")]
    assert difference["value"] == pytest.approx(gained[0] - gained[1])
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    # An edge that leads nowhere is no parameter of the sum.
    sizes = invented.costs("params", cheapest=True)[[cell.row for cell in cells]]
    expected = stats.rankdata(truth) + stats.rankdata(sizes)
    assert oriented_scores(config, invented, cells, records)["params+jacob_cov"] == pytest.approx(
        (expected - 1) / 160
    )
    assert "minus_parameters" not in rows["jacob_cov"]
    text = markdown(ranking)
    assert "Kendall minus that of parameters" in text
    assert f"| params+jacob_cov | {difference['value']:.2f} [" in text
    assert all(set(SUMS[name]) <= {"jacob_cov", "params"} for name in SUMS if name in rows)


@pytest.mark.slow
def test_columns_of_another_data_set(invented: Table) -> None:
    config = dataclasses.replace(CONFIG, columns=("pgd_8", "cifar100:pgd_8"))
    assert (
        truth_of(invented, config, "cifar100:pgd_8") == invented.values("cifar100", "pgd_8")
    ).all()
    cells = draw_cells(invented, config)
    rows = judge_scores(config, invented, cells, _records(invented, config))["rows"]
    assert rows["cifar100:pgd_8"]["oracle"]["all"]["kendall"]["value"] < 0.5
    with pytest.raises(UserError, match="unknown data set 'svhn'; choose from cifar10"):
        check_columns(RankConfig(columns=("svhn:pgd_8",)), invented)


@pytest.mark.slow
def test_added_cells_count_in_the_top_region_alone(invented: Table) -> None:
    config = dataclasses.replace(CONFIG, top_cells=40)
    cells = draw_cells(invented, config)
    records = _records(invented, config)
    ranking = judge_scores(config, invented, cells, records)
    row = ranking["rows"]["pgd_8"]["oracle"]
    assert row["all"]["kendall"]["n"] == 80 and row["top_10"]["kendall"]["n"] >= 40
    assert 10 < row["equal_size"]["n"] <= 80
    assert ranking["fronts"]["every scored cell"]["cells"] == 80


@pytest.mark.slow
def test_markdown_says_what_it_is_of(invented: Table) -> None:
    cells = draw_cells(invented, CONFIG)
    text = markdown(judge_scores(CONFIG, invented, cells, _records(invented, CONFIG)))
    assert text.startswith("# 80 random cells of cifar10\n")
    assert "| oracle | 1.00 [1.00, 1.00] | 1.00 [1.00, 1.00] |" in text
    assert "| flat | n/a | n/a | n/a | n/a |" in text
    assert "Kendall, all (n=80)" in text and "| every scored cell | 80 |" in text


@pytest.mark.slow
def test_a_coefficient_of_exactly_zero_keeps_its_place(invented: Table) -> None:
    cells = draw_cells(invented, CONFIG)
    ranking = judge_scores(CONFIG, invented, cells, _records(invented, CONFIG))
    for rows in ranking["rows"].values():
        template = rows["oracle"]
        for name, tau in (("zero", 0.0), ("bad", -0.5)):
            estimate = {**template["all"]["kendall"], "value": tau, "low": tau, "high": tau}
            rows[name] = {**template, "all": {**template["all"], "kendall": estimate}}
    lines = [line.split(" | ")[0] for line in markdown(ranking).splitlines()]
    assert lines.index("| zero") < lines.index("| bad") < lines.index("| flat")


@pytest.mark.slow
def test_kernels_are_compared_with_the_clean_one(invented: Table) -> None:
    cells = draw_cells(invented, CONFIG)
    truth = invented.values("cifar10", "pgd_8")
    noise = np.random.default_rng(0).random(80)
    records = [
        {"scores": {"ntk_clean_min": noise[n], "ntk_robust_min": truth[cell.row], "oracle": 0.0}}
        for n, cell in enumerate(cells)
    ]
    ranking = judge_scores(CONFIG, invented, cells, records)
    claim = ranking["kernel_claims"]["pgd_8"]["robust"]["min"]["all"]
    chance = kendall(noise, truth[[cell.row for cell in cells]])
    assert chance is not None
    assert claim["value"] == pytest.approx(1 - chance) and claim["low"] > 0.5
    assert set(ranking["kernel_claims"]["pgd_8"]) == {"robust"}
    assert f"| robust, min | {claim['value']:.2f} [" in markdown(ranking)


def test_bad_names(invented: Table) -> None:
    with pytest.raises(UserError, match="unknown column 'pgd_9'; choose from clean, fgsm_3"):
        check_columns(RankConfig(columns=("pgd_9",)), invented)
    with pytest.raises(UserError, match="unknown data set 'svhn'"):
        check_columns(RankConfig(benchmark="svhn"), invented)
    with pytest.raises(UserError, match="--combine a\\+snip: 'a' is none of snip, parameters"):
        check_combinations(RankConfig(combine=("a+snip",)), ("snip", "parameters"))


@pytest.mark.slow
def test_published_landmarks(real: Table, data_root: Path) -> None:
    """Over all 6,466 cells parameters reach Kendall 0.651, and 0.281 inside the top 10 %."""
    config = RankConfig(cells=0, bootstrap=0, data_root=str(data_root), columns=("pgd_8",))
    cells = draw_cells(real, config)
    records = [{"scores": {"snip": 0.0}} for _ in cells]
    row = judge_scores(config, real, cells, records)["rows"]["pgd_8"]["parameters"]
    assert row["all"]["kendall"]["value"] == pytest.approx(0.651, abs=5e-4)
    assert row["all"]["spearman"]["value"] == pytest.approx(0.820, abs=5e-4)
    assert row["top_10"]["kendall"]["value"] == pytest.approx(0.281, abs=5e-4)
    with pytest.raises(UserError, match="unknown column 'cw'; choose from clean, aa_apgd-ce"):
        check_columns(dataclasses.replace(config, columns=("standard:cw",)), real)
    standard = truth_of(real, config, "standard:pgd")
    assert standard.shape == (6466,) and 0 < kendall(standard, real.values("cifar10", "clean")) < 1
    ours = oriented_scores(config, real, cells, records)["parameters"]
    assert ours[0] == real.genotypes[0].params()
