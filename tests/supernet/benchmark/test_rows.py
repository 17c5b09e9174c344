"""What the table says of a cell: landmarks on the published values, exact ones on invented."""

import random

import numpy as np
import pytest

from supernet.benchmark.order_statistics import expected_best_of
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.cells.genotype import Genotype, all_genotypes
from tests.tables import class_values

# Accuracies in percent: clean, FGSM 3, PGD 3, FGSM 8, PGD 8, AutoAttack 8.
LANDMARKS = {
    2581: ("323133", 79.37, 69.55, 68.93, 53.51, 48.11, 44.34),
    9930: ("333133", 79.56, 69.71, 69.24, 53.34, 47.79, 44.38),
    13714: ("333123", 79.48, 69.73, 69.10, 53.17, 47.73, 44.28),
    1462: ("333333", 77.06, 67.64, 67.07, 52.48, 47.37, 43.48),
    4317: ("222222", 61.94, 52.87, 52.53, 39.06, 36.21, 31.00),
    1835: ("111111", 33.24, 28.57, 28.53, 21.48, 21.25, 16.09),
}


@pytest.mark.parametrize("index", LANDMARKS)
def test_landmarks_of_the_published_table(real: Table, index: int) -> None:
    code, *percents = LANDMARKS[index]
    answer = query_cell(real, Genotype.parse(code))
    assert answer["index"] == index
    shown = [round(100 * answer["results"]["cifar10"][column], 2) for column in COLUMNS]
    assert shown == percents


def test_every_string_answers_with_the_values_of_its_class(invented: Table) -> None:
    for cell in random.Random(1).sample(list(all_genotypes()), 300):
        answer = query_cell(invented, cell)
        flat = [answer["results"][d][c] for d in DATASETS for c in COLUMNS]
        assert flat == class_values(cell.canonical, 18)
        assert invented.order.genotype(answer["unique_index"]).canonical == cell.canonical
        assert answer["params"] == cell.params() and answer["flops"] == cell.flops()


def test_percentile_and_regret(invented: Table) -> None:
    values = invented.values("cifar10", "clean")
    best, worst = (invented.genotypes[int(pick(values))] for pick in (np.argmax, np.argmin))
    assert query_cell(invented, best)["percentiles"]["cifar10"]["clean"] == 100.0
    assert query_cell(invented, best)["regret"]["cifar10"]["clean"] == 0.0
    answer = query_cell(invented, worst)
    assert answer["regret"]["cifar10"]["clean"] == values.max() - values.min()
    share = 100 * (values <= values.min()).mean()
    assert answer["percentiles"]["cifar10"]["clean"] == pytest.approx(share)


def test_baseline_rows_choose_by_one_column_and_report_all(invented: Table) -> None:
    conv, skip, best = baseline_rows(invented, "cifar100", "autoattack", best_of=(20,))
    assert [conv["key"], skip["key"], best["key"]] == ["all_3x3", "all_skip", "best_of_20"]
    assert best["n"] == 20
    assert best["judged_by"] == {"dataset": "cifar100", "column": "autoattack"}
    assert conv["code"] == "333333" and skip["code"] == "111111"
    expected = expected_best_of(invented, 20, "cifar100", "autoattack")
    assert best["results"]["cifar100"]["autoattack"] == pytest.approx(expected)
    # Columns of the invented table are independent: choosing by one says nothing of another.
    assert best["results"]["cifar10"]["clean"] == pytest.approx(0.5, abs=0.1)
