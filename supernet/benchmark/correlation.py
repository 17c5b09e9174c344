"""How well a score orders cells: rank correlations with bootstrap intervals, regions, regret.

n cells; score_n the score, truth_n what the benchmark says. Higher is better in both. No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Kind = Literal["spearman", "kendall"]

KINDS: tuple[Kind, ...] = ("spearman", "kendall")
REGIONS = {"all": 1.0, "top_10": 0.1, "top_1": 0.01}
"""Name -> share of the benchmark's cells, best first by the truth."""
MIN_CELLS = 10
"""Fewer cells than this make no correlation: their number alone is reported."""
MATRIX_CELLS = 1500
"""Up to so many cells, Kendall's bootstrap works on n x n matrices (18 MB each)."""


@dataclass(frozen=True)
class Estimate:
    """A coefficient with its percentile bootstrap interval; all None where it is not defined."""

    n: int
    value: float | None
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"n": self.n, "value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        if self.value is None:
            return "n/a"
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.value:.2f}{interval}"


def sort_value(coefficient: float | None) -> float:
    """For sorting: an undefined coefficient comes after every other, one of exactly 0 does not."""
    return -2.0 if coefficient is None else coefficient


def spearman(score_n: Array, truth_n: Array) -> float | None:
    """Spearman's rho: the correlation of the ranks, ties sharing their mean rank.

    None for fewer than 2 cells or where either side is constant.
    """
    return _coefficient("spearman", np.asarray(score_n, float), np.asarray(truth_n, float))


def kendall(score_n: Array, truth_n: Array) -> float | None:
    """Kendall's tau-b: (concordant - discordant pairs) / root of the pairs untied on each side.

    None for fewer than 2 cells or where either side is constant.
    """
    return _coefficient("kendall", np.asarray(score_n, float), np.asarray(truth_n, float))


def estimate(
    kind: Kind,
    score_n: Array,
    truth_n: Array,
    *,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The coefficient with a percentile bootstrap interval over cells.

    Each repeat draws n cells with replacement; repeats in which a side is constant are left out.
    No value below MIN_CELLS cells, no interval for 0 repeats; the same seed, the same interval.
    """
    score_n, truth_n = np.asarray(score_n, float), np.asarray(truth_n, float)
    n = len(score_n)
    if n < MIN_CELLS:
        return Estimate(n, None)
    value = _coefficient(kind, score_n, truth_n)
    if value is None or repeats == 0:
        return Estimate(n, value)
    draws_Rn = np.random.default_rng(seed).integers(n, size=(repeats, n))
    resampled = _resampled_spearman if kind == "spearman" else _resampled_kendall
    return _with_interval(n, value, resampled(score_n, truth_n, draws_Rn), confidence)


def estimate_within(
    score_n: Array,
    truth_n: Array,
    group_n: NDArray[Any],
    *,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Kendall's tau-b over the pairs of cells that share their group, with a bootstrap interval.

    tau = (concordant - discordant) / root of the pairs untied on each side, all three counted over
    pairs (i, j) with group_i = group_j alone: what the score knows beyond the group. With the
    number of parameters as the group, parameters themselves know nothing. Cells are resampled as in
    `estimate`; a cell that is alone in its group takes no part.

    `n` counts the cells that share their group. None below MIN_CELLS of them or where a side is
    constant in every group.
    Source: Korn 1984 (Kendall's tau with a blocking variable), as tau-b.
    """
    score_n, truth_n = np.asarray(score_n, float), np.asarray(truth_n, float)
    _, number_n, size = np.unique(group_n, return_inverse=True, return_counts=True)
    blocks = [np.flatnonzero(number_n == g) for g in np.flatnonzero(size > 1)]
    shared = sum(len(block) for block in blocks)
    once = np.ones((1, len(score_n)))
    value = _kendall_in_blocks(score_n, truth_n, blocks, once)[0]
    if shared < MIN_CELLS or not np.isfinite(value):
        return Estimate(shared, None)
    if repeats == 0:
        return Estimate(shared, float(value))
    draws_Rn = np.random.default_rng(seed).integers(len(score_n), size=(repeats, len(score_n)))
    drawn = _kendall_in_blocks(score_n, truth_n, blocks, _counts(draws_Rn))
    return _with_interval(shared, float(value), drawn, confidence)


def difference(
    kind: Kind,
    score_n: Array,
    other_n: Array,
    truth_n: Array,
    *,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The coefficient of `score` minus that of `other`, with a paired bootstrap interval.

    Both are taken on the same resampled cells, so that what the two scores have in common cancels:
    an interval that leaves out 0 says that one orders these cells better than the other. Undefined
    as in `estimate`.
    """
    sides = [np.asarray(side, float) for side in (score_n, other_n, truth_n)]
    n = len(sides[2])
    values = [None if n < MIN_CELLS else _coefficient(kind, side, sides[2]) for side in sides[:2]]
    if values[0] is None or values[1] is None:
        return Estimate(n, None)
    value = values[0] - values[1]
    if repeats == 0:
        return Estimate(n, value)
    draws_Rn = np.random.default_rng(seed).integers(n, size=(repeats, n))
    resampled = _resampled_spearman if kind == "spearman" else _resampled_kendall
    drawn = resampled(sides[0], sides[2], draws_Rn) - resampled(sides[1], sides[2], draws_Rn)
    return _with_interval(n, value, drawn, confidence)


def _with_interval(n: int, value: float, drawn_R: Array, confidence: float) -> Estimate:
    """Percentiles of the resampled coefficients that are defined; none, no interval."""
    kept = drawn_R[np.isfinite(drawn_R)]
    if not len(kept):
        return Estimate(n, value)
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Estimate(n, value, float(low), float(high))


def regret(score_n: Array, truth_n: Array, best: float | None = None) -> float:
    """What choosing the best-scored cell costs: best truth minus that cell's truth.

    `best` is what it is measured against; None is the best of these cells. Among cells that share
    the highest score the mean of their truths counts, as if one of them were drawn.
    Raises: ValueError without cells.
    """
    score_n, truth_n = np.asarray(score_n, float), np.asarray(truth_n, float)
    if not len(score_n):
        raise ValueError("regret needs at least one cell")
    chosen = truth_n[score_n == score_n.max()].mean()
    return float((truth_n.max() if best is None else best) - chosen)


def ndcg(score_n: Array, truth_n: Array, top: int = 50) -> float:
    """Normalised discounted cumulative gain: how much of the best order's gain the top cells have.

        nDCG = sum_(j = 1 .. top) g_j / log2(1 + j), over the same sum in the order of the truth

    g_j = 2^(100 t_j) - 1 is the gain of the cell in place j by the score, t_j its truth as a
    fraction: a cell that is one accuracy point worse gains half, and one on place 50 counts a
    sixth of one on the first. Cells with equal scores share their mean gain. 1 is the best order.

    Raises: ValueError without cells.
    Source: Jarvelin & Kekalainen 2002; for scores that need no training Tybl & Neumann 2025,
            arXiv:2502.04975, eq. 14.
    """
    score_n, truth_n = np.asarray(score_n, float), np.asarray(truth_n, float)
    if not len(score_n):
        raise ValueError("ndcg needs at least one cell")
    # Gains over 2^(100 max t), which cancels: no power overflows.
    gain_n = np.exp2(100 * (truth_n - truth_n.max())) - np.exp2(-100 * truth_n.max())
    _, number_n, size = np.unique(-score_n, return_inverse=True, return_counts=True)
    mean = np.bincount(number_n, weights=gain_n) / size
    shown = np.repeat(mean, size)[:top]
    discount = 1 / np.log2(2 + np.arange(len(shown)))
    return float((shown * discount).sum() / (np.sort(gain_n)[::-1][:top] * discount).sum())


def best_picks(score_n: Array, truth_n: Array, truth_of_all: Array, top: int = 10) -> list[int]:
    """Ranks in the benchmark of the best-scored cell, and of the best of the `top` best-scored.

    A rank is 1 + the number of all cells whose truth is strictly better. Of cells with equal scores
    those that come first count.
    """
    chosen = np.argsort(-np.asarray(score_n, float), kind="stable")[:top]
    truths = np.asarray(truth_n, float)[chosen]
    return [1 + int((truth_of_all > truth).sum()) for truth in (truths[0], truths.max())]


def threshold(truth_of_all: Array, share: float) -> float:
    """The lowest truth inside the best `share` of all cells: `truth >= threshold` is the region."""
    values = np.sort(np.asarray(truth_of_all, float))[::-1]
    return float(values[max(1, round(share * len(values))) - 1])


def judge(
    score_n: Array,
    truth_n: Array,
    truth_of_all: Array,
    random_n: NDArray[np.bool_] | None = None,
    *,
    repeats: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures for one score: both coefficients in every region, nDCG at 50, picks and regrets.

    `truth_of_all` sets the regions' thresholds, so that "top 10 %" means that of the benchmark
    whatever was sampled. `random_n` marks the cells drawn from all cells alike; where others were
    added from the top region, they count inside that region and not for "all".
    `ndcg_50` is of the marked cells. `argmax_rank` and `top_ten_rank` are those of `best_picks`, in
    the benchmark, of the marked cells. Regrets are those of the best-scored cell among the marked
    ones: against the best of them, and against the best of the benchmark.
    """
    score_n, truth_n = np.asarray(score_n, float), np.asarray(truth_n, float)
    marked = np.ones(len(score_n), bool) if random_n is None else np.asarray(random_n, bool)
    record: dict[str, Any] = {}
    for region, share in REGIONS.items():
        inside = marked if share == 1 else truth_n >= threshold(truth_of_all, share)
        options: dict[str, Any] = {"repeats": repeats, "seed": seed}
        record[region] = {
            kind: estimate(kind, score_n[inside], truth_n[inside], **options).as_dict()
            for kind in KINDS
        }
    record["ndcg_50"] = ndcg(score_n[marked], truth_n[marked])
    picks = best_picks(score_n[marked], truth_n[marked], np.asarray(truth_of_all, float))
    record["argmax_rank"], record["top_ten_rank"] = picks
    record["regret"] = regret(score_n[marked], truth_n[marked])
    record["regret_to_benchmark"] = regret(
        score_n[marked], truth_n[marked], float(np.max(truth_of_all))
    )
    return record


def _coefficient(kind: Kind, x: Array, y: Array) -> float | None:
    if len(x) != len(y):
        raise ValueError(f"{len(x)} scores and {len(y)} truths: there must be one of each per cell")
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    found = stats.spearmanr(x, y) if kind == "spearman" else stats.kendalltau(x, y)
    return float(found.statistic)


def _resampled_spearman(x: Array, y: Array, draws_Rn: NDArray[np.int64]) -> Array:
    """The coefficient of every row of draws; NaN where a side is constant."""
    ranks = [stats.rankdata(side[draws_Rn], axis=1) for side in (x, y)]
    a, b = (side - side.mean(1, keepdims=True) for side in ranks)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def _resampled_kendall(x: Array, y: Array, draws_Rn: NDArray[np.int64]) -> Array:
    """The coefficient of every row of draws; NaN where a side is constant.

    With c_i how often cell i was drawn and s_ij = sign(x_i - x_j), concordant minus discordant
    pairs are c^T (s_x * s_y) c / 2 and untied ones c^T |s| c / 2: products of small matrices,
    fifty times faster than sorting every draw. Many cells are sorted after all: n^2 is too large.
    """
    n = len(x)
    if n > MATRIX_CELLS:
        found = [_coefficient("kendall", x[draw], y[draw]) for draw in draws_Rn]
        return np.array([np.nan if value is None else value for value in found])
    return _kendall_in_blocks(x, y, [np.arange(n)], _counts(draws_Rn))


def _counts(draws_Rn: NDArray[np.int64]) -> Array:
    """How often each cell was drawn."""
    n = draws_Rn.shape[1]
    return np.stack([np.bincount(draw, minlength=n) for draw in draws_Rn]).astype(float)


def _kendall_in_blocks(
    x: Array, y: Array, blocks: Sequence[NDArray[np.int64]], counts_Rn: Array
) -> Array:
    """tau-b over the pairs inside blocks, for every row of counts; NaN where a side is constant."""
    sums = np.zeros((3, len(counts_Rn)))
    for block in blocks:
        counts = counts_Rn[:, block]
        signs = [np.sign(side[block, None] - side[None, block]) for side in (x, y)]
        matrices = (signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1]))
        sums += [((counts @ matrix) * counts).sum(1) for matrix in matrices]
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[0] / np.sqrt(sums[1] * sums[2]))
