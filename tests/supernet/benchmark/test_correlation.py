"""Rank correlations by counting pairs, intervals of known correlations, regions, regret."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from supernet.benchmark import correlation
from supernet.benchmark.correlation import (
    MIN_CELLS,
    Estimate,
    best_picks,
    difference,
    estimate,
    estimate_within,
    judge,
    kendall,
    ndcg,
    regret,
    spearman,
    threshold,
)


def _tau_b(x: list[float], y: list[float]) -> float:
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in pairs]
    agreement = sum(a * b for a, b in signs)
    return float(agreement / np.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs)))


def test_kendall_counts_pairs_with_ties() -> None:
    x, y = [1.0, 2, 2, 3, 5, 4], [2.0, 1, 3, 3, 5, 9]
    assert kendall(np.array(x), np.array(y)) == pytest.approx(_tau_b(x, y))
    assert kendall(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 3])) == pytest.approx(4 / 6)


def test_spearman_is_the_correlation_of_ranks() -> None:
    x, y = np.array([10.0, 2, 2, 7]), np.array([1.0, 0, 4, 2])
    ranks_x, ranks_y = [4.0, 1.5, 1.5, 3], [2.0, 1, 4, 3]
    assert spearman(x, y) == pytest.approx(np.corrcoef(ranks_x, ranks_y)[0, 1])
    assert spearman(np.exp(x), y) == spearman(x, y)


@pytest.mark.parametrize("coefficient", [spearman, kendall])
def test_undefined_is_none(coefficient: Callable[..., float | None]) -> None:
    assert coefficient(np.ones(5), np.arange(5.0)) is None
    assert coefficient(np.array([1.0]), np.array([2.0])) is None
    with pytest.raises(ValueError, match="3 scores and 2 truths"):
        coefficient(np.arange(3.0), np.arange(2.0))


def test_interval_covers_the_population_value() -> None:
    """Normal pairs with correlation 0.6 have Kendall 2/pi asin(0.6); 95 % of intervals hold it."""
    truth = 2 / np.pi * np.arcsin(0.6)
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(60):
        x, z = random.standard_normal((2, 80))
        found = estimate("kendall", x, 0.6 * x + 0.8 * z, repeats=200, seed=trial)
        assert found.low is not None and found.high is not None
        hits += found.low <= truth <= found.high
    assert 50 <= hits <= 60


def test_intervals_repeat_and_narrow() -> None:
    random = np.random.default_rng(0)
    x, z = random.standard_normal((2, 1000))
    y = x + z

    def width(n: int) -> float:
        found = estimate("spearman", x[:n], y[:n], repeats=200)
        assert found == estimate("spearman", x[:n], y[:n], repeats=200)
        assert found.low is not None and found.high is not None and found.value is not None
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(1000) < width(100) / 2


@pytest.mark.parametrize("matrix_cells", [0, 1000])
@pytest.mark.parametrize("kind", ["spearman", "kendall"])
def test_the_bootstrap_is_that_of_scipy(
    kind: str, matrix_cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlation, "MATRIX_CELLS", matrix_cells)
    random = np.random.default_rng(0)
    x, y = random.integers(6, size=(2, 30)).astype(float)
    draws = random.integers(30, size=(20, 30))
    ours = getattr(correlation, f"_resampled_{kind}")(x, y, draws)
    scipy = stats.spearmanr if kind == "spearman" else stats.kendalltau
    assert ours == pytest.approx([scipy(x[d], y[d]).statistic for d in draws])


def test_within_groups_pairs_of_one_group_count_alone() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(6, size=60)
    group[:1] = 99  # alone
    truth = rng.integers(12, size=60) + 100.0 * group
    score = rng.integers(12, size=60) + 0.5 * (truth % 100) - 100.0 * group
    agree = untied_score = untied_truth = 0
    for i in range(60):
        for j in range(i):
            if group[i] == group[j]:
                x, y = np.sign(score[i] - score[j]), np.sign(truth[i] - truth[j])
                agree, untied_score = agree + x * y, untied_score + abs(x)
                untied_truth += abs(y)
    found = estimate_within(score, truth, group, repeats=200)
    assert found.n == 59 and found.value is not None and found.low is not None
    assert found.value == pytest.approx(agree / (untied_score * untied_truth) ** 0.5)
    assert 0.1 < found.low < found.value < found.high < 0.9  # type: ignore[operator]
    # Over all cells the order of the groups, which is wrong, decides.
    assert kendall(score, truth) < -0.5  # type: ignore[operator]
    assert estimate_within(score, truth, np.zeros(60), repeats=50) == estimate(
        "kendall", score, truth, repeats=50
    )
    # What is constant in every group knows nothing; nine cells in groups are too few.
    assert estimate_within(group.astype(float), truth, group).value is None
    few = np.arange(20)
    few[:9] = 0
    assert estimate_within(few * 1.0, np.arange(20.0), few).as_dict() == {
        "n": 9, "value": None, "low": None, "high": None,
    }  # fmt: skip


def test_few_cells_give_their_number_alone() -> None:
    x = np.arange(MIN_CELLS - 1.0)
    assert estimate("kendall", x, x) == Estimate(MIN_CELLS - 1, None)
    assert str(estimate("kendall", x, x)) == "n/a"
    assert estimate("kendall", np.ones(50), np.arange(50.0)).value is None


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    random = np.random.default_rng(0)
    truth, noise = random.standard_normal((2, 200))
    better, worse = truth + noise, truth + 1.15 * noise
    found = difference("kendall", better, worse, truth, repeats=300)
    one, other = (kendall(side, truth) for side in (better, worse))
    assert one is not None and other is not None
    assert found.value == pytest.approx(one - other)
    assert found.low is not None and found.high is not None and found.low > 0
    first, second = (estimate("kendall", s, truth, repeats=300) for s in (better, worse))
    assert first.low is not None and second.high is not None
    assert first.low < second.high, "their own intervals overlap"
    back = difference("kendall", worse, better, truth, repeats=300)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert difference("kendall", truth, truth, truth, repeats=50) == Estimate(200, 0.0, 0.0, 0.0)
    assert difference("kendall", np.ones(200), truth, truth).value is None
    assert difference("spearman", truth[:5], truth[:5], truth[:5]).value is None


def test_no_repeats_give_no_interval() -> None:
    x = np.arange(50.0)
    assert estimate("kendall", x, x, repeats=0) == Estimate(50, kendall(x, x))
    assert str(estimate("spearman", x, x, repeats=0)) == "1.00"


def test_regret() -> None:
    score, truth = np.array([3.0, 9, 1]), np.array([0.5, 0.4, 0.7])
    assert regret(score, truth) == pytest.approx(0.3)
    assert regret(score, truth, best=0.9) == pytest.approx(0.5)
    assert regret(-score, truth) == 0
    assert regret(np.ones(3), truth) == pytest.approx(0.7 - 1.6 / 3), "ties count their mean"
    with pytest.raises(ValueError, match="at least one cell"):
        regret(np.array([]), np.array([]))


def test_ndcg_of_a_few_cells() -> None:
    """Gains 2^t - 1 of 3, 1 and 0 percent are 7, 1 and 0; places count 1, 1 / log2(3), 1 / 2."""
    truth, second = np.array([0.01, 0.03, 0.0]), 1 / np.log2(3)
    best = 7 + second
    assert ndcg(np.array([2.0, 3, 1]), truth) == pytest.approx(1)
    assert ndcg(np.array([3.0, 2, 1]), truth) == pytest.approx((1 + 7 * second) / best)
    assert ndcg(np.array([3.0, 1, 2]), truth, top=2) == pytest.approx(1 / best)
    # Two that share the best score share their gains.
    tied = ndcg(np.array([3.0, 3, 1]), truth)
    assert tied == pytest.approx((4 + 4 * second) / best)
    assert ndcg(np.zeros(3), truth, top=1) == pytest.approx((8 / 3) / 7)
    # A point less is half the gain, wherever; and large truths do not overflow.
    assert ndcg(np.array([1.0, 2]), np.array([0.96, 0.95]), top=1) == pytest.approx(0.5)
    assert ndcg(np.array([1.0, 2]), np.array([500.0, 400.0]), top=1) == 0
    with pytest.raises(ValueError, match="at least one cell"):
        ndcg(np.array([]), np.array([]))


def test_best_picks_are_ranks_among_all_cells() -> None:
    of_all = np.arange(100.0)
    truth = np.array([50.0, 97, 10, 99, 98])
    assert best_picks(np.array([5.0, 4, 3, 2, 1]), truth, of_all, top=3) == [50, 3]
    assert best_picks(np.array([5.0, 4, 3, 2, 1]), truth, of_all) == [50, 1]
    assert best_picks(np.zeros(5), truth, of_all, top=1) == [50, 50], "ties: the first counts"


def test_threshold_keeps_the_best_share() -> None:
    truth = np.arange(200.0)
    assert (truth >= threshold(truth, 0.1)).sum() == 20
    assert (truth >= threshold(truth, 0.01)).sum() == 2
    assert (truth >= threshold(truth, 0.001)).sum() == 1


def test_judge_separates_added_cells_and_regions() -> None:
    """A score that is perfect inside the top 10 % and reversed below."""
    truth_of_all = np.arange(1000.0)
    score_of_all = np.where(truth_of_all >= 900, truth_of_all, -truth_of_all)
    sample = np.concatenate([np.arange(0, 900, 10), np.arange(900, 1000, 4)])
    marked = sample < 900
    record = judge(score_of_all[sample], truth_of_all[sample], truth_of_all, marked, repeats=50)
    assert record["all"]["spearman"]["value"] == pytest.approx(-1)
    assert record["all"]["kendall"]["n"] == 90
    assert record["top_10"]["kendall"]["n"] == 25
    for name in ("value", "low", "high"):
        assert record["top_10"]["kendall"][name] == pytest.approx(1)
    assert record["top_1"]["kendall"] == {"n": 2, "value": None, "low": None, "high": None}
    assert record["regret"] == 890 and record["regret_to_benchmark"] == 999
    # Among the marked ones the score prefers the worst: 0, 10, .., 90 of 0 to 999.
    assert (record["argmax_rank"], record["top_ten_rank"]) == (1000, 910)
    assert record["ndcg_50"] == 0


@pytest.mark.slow
def test_no_torch() -> None:
    modules = "supernet.benchmark.correlation, supernet.studies.ranking.ridge"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
