"""Cells on a data set, and rows that need no search: against the table by other ways of asking."""

import numpy as np
import pytest

from supernet.benchmark.table import CLASSES, Table
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.search.prior import prior_scores
from supernet.studies.evidence.judge import judged, within_budget, without_search
from tests.tables import real

__all__ = ["real"]


@pytest.mark.parametrize("dataset", ["cifar10", "imagenet16-120"])
def test_a_cell_on_a_data_set(invented: Table, dataset: str) -> None:
    cell = Genotype.parse("323133")
    found = judged(invented, "323133", dataset)
    for column in ("clean", "pgd_8", "autoattack"):
        values = invented.values(dataset, column)
        value = values[invented.row(cell)]
        assert found[column] == pytest.approx(value)
        assert found["ranks"][column] == 1 + (values > value).sum()
    robust = invented.values(dataset, "pgd_8")
    assert found["regret"] == pytest.approx(robust.max() - robust[invented.row(cell)])
    assert found["params"] == cell.params(CLASSES[dataset])


def test_rows_without_search(invented: Table) -> None:
    rows = {row["key"]: row for row in without_search(invented, "cifar100")}
    assert list(rows) == ["all_3x3", "best_of_50", "prior", "best"]
    assert rows["all_3x3"]["name"] == "all 3x3, the largest cell"
    assert max(all_genotypes(), key=Genotype.params).code == rows["all_3x3"]["code"] == "333333"
    robust = invented.values("cifar100", "pgd_8")
    # The best of 50 draws with replacement from the 15,625 strings, by another way of counting.
    sorted_values = np.sort(robust[invented.row_of])
    below = np.arange(len(sorted_values) + 1) / len(sorted_values)
    expected = (np.diff(below**50) * sorted_values).sum()
    assert rows["best_of_50"]["pgd_8"] == pytest.approx(expected, abs=1e-6)
    assert rows["best_of_50"]["code"] is None
    assert rows["best"]["pgd_8"] == robust.max() and rows["best"]["regret"] == 0
    assert rows["prior"]["name"] == "the best cell by CIFAR-10 and ImageNet16-120"


def test_the_prior_knows_the_other_data_sets_alone(real: Table) -> None:
    found = {}
    for dataset in real.datasets:
        rows = {row["key"]: row for row in without_search(real, dataset)}
        found[dataset] = rows["prior"]["code"], rows["prior"]["ranks"]["pgd_8"]
    # Ranks 5 and 9 were found before, by sums of ranks.
    assert found == {
        "cifar10": ("333123", 5), "cifar100": ("323133", 2), "imagenet16-120": ("323133", 9)
    }  # fmt: skip


@pytest.mark.parametrize(("dataset", "most"), [("cifar10", 0.4e6), ("cifar100", 0.2e6)])
def test_what_there_is_within_a_budget(invented: Table, dataset: str, most: float) -> None:
    values, classes = invented.values(dataset, "pgd_8"), CLASSES[dataset]
    others = tuple(name for name in invented.datasets if name != dataset)
    scores = prior_scores(invented, others, robust=True)
    fitting = [c for c in all_genotypes() if c.is_connected and c.params(classes) <= most]
    # The last of each class is its cheapest.
    some = {invented.row(c): c for c in sorted(fitting, key=lambda c: -c.params())}
    best = max(values[row] for row in some)
    size = max(cell.params(classes) for cell in some.values())
    largest = [values[row] for row, cell in some.items() if cell.params(classes) == size]
    found = within_budget(invented, dataset, most)
    assert found == {
        "best": pytest.approx(best),
        "largest": pytest.approx(best - np.mean(largest), abs=1e-6),
        "prior": pytest.approx(best - values[max(some, key=lambda row: scores[row])]),
    }
    assert found["largest"] > 0


def test_a_prior_within_budgets(real: Table) -> None:
    budgets = (0.2e6, 0.4e6, 0.6e6, 0.8e6, 1.2e6)
    found = [within_budget(real, "cifar10", most)["prior"] for most in budgets]
    assert [round(100 * regret, 2) for regret in found] == [0.97, 0.0, 0.02, 0.06, 0.38]
