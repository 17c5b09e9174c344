"""The comparison with standard training, on an invented second table."""

import json
from pathlib import Path

import numpy as np
import pytest

from supernet.benchmark.standard import STANDARD_COLUMNS, StandardTable, compare
from supernet.benchmark.table import Table
from supernet.errors import UserError
from tests.tables import small_form

COLUMNS = [f"cifar10#{c}" for c in STANDARD_COLUMNS] + ["ImageNet16-120#clean"]


def write(folder: Path, columns: list[str]) -> None:
    table, _ = small_form(columns)
    (folder / "acc.json").write_text(f"acc={json.dumps(table)}")


@pytest.mark.slow
def test_compare_on_invented_tables(invented: Table, tmp_path: Path) -> None:
    write(tmp_path, COLUMNS)
    standard = StandardTable.load(tmp_path, verify=False)
    assert standard.columns("imagenet16-120") == ["clean"]
    # Both tables hash the class in the same order: the first columns agree cell by cell.
    np.testing.assert_array_equal(
        standard.values("cifar10", "clean"), invented.values("cifar10", "clean")
    )
    answer = compare(invented, standard, "cifar10")
    assert answer["spearman"]["all"][0][0] == pytest.approx(1)
    assert answer["kendall"]["top_1"][0][0] == pytest.approx(1)
    assert abs(answer["spearman"]["all"][0][3]) < 0.05
    assert answer["overlap"]["top_10"][0][0] == 1.0
    assert answer["overlap"]["top_10"][0][3] == pytest.approx(0.1, abs=0.05)
    best = answer["best_of_standard"]["clean"]
    assert best["adversarial_ranks"]["clean"] == 1
    assert best["adversarial"]["clean"] == best["accuracy"]


def test_published_comparison(real: Table, data_root: Path) -> None:
    answer = compare(real, StandardTable.load(data_root), "cifar10")
    clean, robust = answer["spearman"]["all"][0], answer["spearman"]["all"][4]
    names = answer["standard_columns"]
    assert clean[names.index("clean")] > 0.95
    # Accuracy under PGD after ordinary training says little about it after adversarial training.
    assert robust[names.index("pgd")] < 0.5
    assert answer["mean_standard"]["clean"] > answer["mean_adversarial"]["clean"]


def test_missing_or_foreign_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"acc\.json is missing .* put it there from https://"):
        StandardTable.load(tmp_path)
    write(tmp_path, ["cifar10#val_acc"])
    with pytest.raises(UserError, match="no column cifar10#aa_square: it is another table"):
        StandardTable.load(tmp_path, verify=False)
    with pytest.raises(UserError, match="is not the published file"):
        StandardTable.load(tmp_path)
