"""Statistics on hand-made columns and the invented table; known shares on the real one."""

import itertools

import numpy as np
import pytest

from ops.space import CONV1, CONV3, SKIP
from supernet.benchmark.statistics import (
    best_rows,
    box_statistics,
    correlation,
    correlation_matrix,
    operator_shares,
    rank_correlations,
    replacement_effects,
)
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype


def test_best_cells_of_the_published_table_prefer_convolutions(real: Table) -> None:
    shares = operator_shares(real, "cifar10", "pgd_8")
    overall = [round(100 * share) for share in shares["overall"]["best_1"]]
    assert (overall[CONV3], overall[CONV1], overall[SKIP]) == (62, 21, 12)
    edge_0_to_1, edge_0_to_3 = shares["regions"]["best_1"][0], shares["regions"]["best_1"][3]
    assert round(100 * edge_0_to_1[CONV3]) == 94
    assert edge_0_to_3[SKIP] == pytest.approx(0.5, abs=0.01)
    assert shares["cells"]["best_10"] == 647


def test_published_correlations(real: Table) -> None:
    clean, robust = real.values("cifar10", "clean"), real.values("cifar10", "pgd_8")
    top = best_rows(robust, 0.1)
    assert correlation(clean, robust, "spearman") == pytest.approx(0.985, abs=0.005)
    assert correlation(clean[top], robust[top], "spearman") == pytest.approx(0.6, abs=0.05)
    params = real.values("cifar10", "params")
    assert correlation(params, robust, "spearman") == pytest.approx(0.82, abs=0.005)
    assert correlation(params, robust, "kendall") == pytest.approx(0.65, abs=0.005)


def test_correlations_by_hand() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert correlation(x, y, "spearman") == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert correlation(x, y, "kendall") == pytest.approx(4 / 6)  # 5 pairs agree, 1 does not
    assert correlation(x, -x, "kendall") == pytest.approx(-1)
    assert correlation(x, np.ones(4), "spearman") is None
    assert correlation(x[:1], y[:1], "kendall") is None


def test_region_is_that_of_the_row() -> None:
    x = np.arange(20.0)
    y = np.where(x >= 10, -x, x)  # reversed among the best half by x
    matrix = correlation_matrix([x, y], 0.5, "spearman")
    assert matrix[0][1] == pytest.approx(-1.0)
    assert matrix[1][0] == pytest.approx(1.0)  # y's best half: 0..9, in order
    assert best_rows(x, 0.1).tolist() == [19, 18]
    assert best_rows(x, 0.1, worst=True).tolist() == [0, 1]


def test_box_of_known_values(invented: Table) -> None:
    boxes = box_statistics(invented)
    assert boxes["imagenet16-120"]["clean"]["chance"] == 1 / 120
    values = invented.values("cifar10", "fgsm_3")
    box = boxes["cifar10"]["fgsm_3"]
    assert box["median"] == np.median(values) and box["max"] == values.max()
    assert box["q1"] <= box["median"] <= box["q3"]
    # Uniform values have no outliers: the whiskers reach the ends.
    assert (box["whisker_low"], box["whisker_high"]) == (box["min"], box["max"])


def test_operator_shares_sum_to_one_and_count_cells(invented: Table) -> None:
    shares = operator_shares(invented, "cifar10", "clean")
    for region in shares["regions"].values():
        np.testing.assert_allclose(np.sum(region, axis=1), 1)
    best = invented.genotypes[int(best_rows(invented.values("cifar10", "clean"), 0.01)[0])]
    assert shares["regions"]["best_1"][2][best.ops[2]] > 0
    every = [cell.ops[4] for cell in invented.genotypes]
    assert shares["regions"]["all"][4][1] == pytest.approx(every.count(1) / 6466)


def test_replacement_effect_against_the_definition(invented: Table) -> None:
    effects = replacement_effects(invented, "cifar10", "clean")
    mean = np.array(effects["mean"])
    np.testing.assert_allclose(mean, -mean.transpose(0, 2, 1), atol=1e-15)
    edge, old, new = 2, 1, 3
    changes = []
    for others in itertools.product(range(5), repeat=5):
        cell = Genotype((*others[:edge], old, *others[edge:]))
        rows = invented.row(cell), invented.row(cell.replace(edge, new))
        values = invented.values("cifar10", "clean")
        changes.append(values[rows[1]] - values[rows[0]])
    assert mean[edge][old][new] == pytest.approx(np.mean(changes))
    assert effects["sd"][edge][old][new] == pytest.approx(np.std(changes))
    assert effects["better"][edge][old][new] == pytest.approx(np.mean(np.array(changes) > 0))
    assert effects["settings"] == len(changes) == 3125


@pytest.mark.slow
def test_rank_correlations_have_every_part(invented: Table) -> None:
    answer = rank_correlations(invented)
    assert np.array(answer["between_datasets"]["pgd_8"]["kendall"]["top_1"]).shape == (3, 3)
    matrix = np.array(answer["between_columns"]["cifar10"]["spearman"]["all"])
    assert matrix.shape == (7, 7)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert abs(matrix[0][1]) < 0.05  # invented columns are independent
