import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark.baselines import single_objective
from supernet.benchmark.own_table import fill_in, read_own_table
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.selection import best_cells
from supernet.benchmark.shipped import evaluated_cells
from supernet.benchmark.statistics import box_statistics, rank_correlations, replacement_effects
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import true_front
from supernet.cells.genotype import Genotype
from supernet.cells.order import published_order
from supernet.errors import UserError


def _line(cell: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    results = {"clean": 0.5, "pgd_32": 0.25, "fgsm_32": 0.375, "fgsm_12": 0.4}
    return {
        "format": 1, "cell": cell, "seed": seed, "recipe": "quick", "status": "done",
        "dataset": "digits", "num_classes": 10, "test_images": 100, "results": results, **changes,
    }  # fmt: skip


def _write(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_class_has_the_mean_of_its_lines_and_ranks_among_those_that_are_there(
    tmp_path: Path,
) -> None:
    path = _write(
        tmp_path,
        _line("333333", 0, results={"clean": 0.8, "pgd_32": 0.4}),
        _line("333333", 1, results={"clean": 0.9, "pgd_32": 0.5}),
        _line("111111", 0, results={"clean": 0.3, "pgd_32": 0.2}),
        # Isomorphs: nothing goes on from node 1, so that its edge counts for nothing.
        _line("000300", 0, results={"clean": 0.6, "pgd_32": 0.1}),
        _line("300300", 0, results={"clean": 0.7, "pgd_32": 0.3, "fgsm_32": 0.2}),
    )
    assert Genotype.parse("000300").canonical == Genotype.parse("300300").canonical
    table, remark = read_own_table(path)
    assert (table.size, table.datasets, table.columns) == (3, ("digits",), ("clean", "pgd_32"))
    assert not table.is_whole and table.robust_column == "pgd_32"
    assert remark.startswith("3 cells from 5 trainings on digits by the recipe quick")
    dense, skip = query_cell(table, Genotype.parse("333333")), Genotype.parse("111111")
    assert dense["results"]["digits"] == pytest.approx({"clean": 0.85, "pgd_32": 0.45})
    assert dense["ranks"]["digits"] == {"clean": 1, "pgd_32": 1}
    for twin in ("000300", "300300"):
        found = query_cell(table, Genotype.parse(twin))
        assert found["results"]["digits"] == pytest.approx({"clean": 0.65, "pgd_32": 0.2})
    assert table.rank(skip, "digits", "pgd_32") == 2
    codes = [cell.code for cell in best_cells(table, "digits", "clean", 10)]
    assert codes[0] == "333333" and codes[2] == "111111" and len(codes) == 3
    assert [row["key"] for row in baseline_rows(table, "digits", "clean")] == [
        "all_3x3", "all_skip"
    ]  # fmt: skip


def test_the_front_and_the_spread_of_a_part_are_its_own(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _line("333333", results={"clean": 0.8, "pgd_32": 0.4}),
        _line("222222", results={"clean": 0.9, "pgd_32": 0.3}),
        _line("111111", results={"clean": 0.7, "pgd_32": 0.2}),
        _line("444444", results={"clean": 0.1, "pgd_32": 0.1}),
    )
    table, _ = read_own_table(path)
    front = true_front(table, "digits", ("clean", "pgd_32"))
    assert [cell["code"] for cell in front["cells"]] == ["222222", "333333"]
    # Two rectangles above guessing, 1/10: 0.8 x 0.2 and 0.7 x 0.1 more.
    assert front["hypervolume"] == pytest.approx(0.8 * 0.2 + 0.7 * 0.1)
    box = box_statistics(table)["digits"]["clean"]
    assert (box["min"], box["max"], box["chance"]) == (0.1, 0.9, 0.1)
    spearman = rank_correlations(table)["between_columns"]["digits"]["spearman"]["all"]
    assert spearman[0][1] == pytest.approx(0.8)  # one pair of four swapped by one


def test_what_needs_all_cells_says_so_of_a_part(tmp_path: Path) -> None:
    table, _ = read_own_table(_write(tmp_path, _line("333333"), _line("111111")))
    with pytest.raises(UserError, match=r"a search .* needs all 6,466 .*table.jsonl has 2"):
        single_objective(table, "digits", "clean", queries=2, seeds=1)
    with pytest.raises(UserError, match="is a mean over all 6,466 different cells"):
        replacement_effects(table, "digits", "clean")
    with pytest.raises(UserError, match="draws of random cells need all"):
        _ = table.multiplicity
    with pytest.raises(UserError, match=r"has 2 cells, and neither 222222 nor an isomorph"):
        query_cell(table, Genotype.parse("222222"))


@pytest.mark.slow
def test_a_table_of_all_cells_answers_as_the_benchmark_does(tmp_path: Path, whole: Table) -> None:
    order = published_order()
    unique, row_of = evaluated_cells(order.codes)
    lines = [
        _line(order.codes[index], results={"clean": float(clean), "pgd_8": float(pgd)})
        for index, clean, pgd in zip(
            unique, whole.values("cifar10", "clean"), whole.values("cifar10", "pgd_8"), strict=True
        )
    ]
    table, _ = read_own_table(_write(tmp_path, *lines))
    assert table.is_whole and np.array_equal(table.row_of, row_of)
    assert table.unique == whole.unique
    assert np.array_equal(table.multiplicity, whole.multiplicity)
    assert np.array_equal(table.cheapest_members, whole.cheapest_members)
    for column in ("clean", "pgd_8"):
        assert np.array_equal(table.values("digits", column), whole.values("cifar10", column))
    ours = replacement_effects(table, "digits", "pgd_8")["mean"]
    assert ours == replacement_effects(whole, "cifar10", "pgd_8")["mean"]


@pytest.fixture
def whole() -> Table:
    from supernet.benchmark.load import shipped_table

    return shipped_table()


def test_diverged_and_failed_trainings_count_nowhere_and_are_told(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _line("333333"), _line("111111", status="diverged", results={}),
        _line("222222", status="failed", results={}),
        _line("444444", status="failed", results={}), _line("444444"),  # repeated
    )  # fmt: skip
    table, remark = read_own_table(path)
    assert sorted(cell.code for cell in table.genotypes) == ["333333", "444444"]
    assert "1 more diverged" in remark and "1 more failed" in remark


def test_columns_are_in_the_order_of_the_benchmark(tmp_path: Path) -> None:
    names = ("pgd_8", "autoattack", "fgsm_8", "clean", "pgd_3", "fgsm_3")
    line = _line("333333", results=dict.fromkeys(names, 0.5))
    table, _ = read_own_table(_write(tmp_path, line))
    assert table.columns == ("clean", "fgsm_3", "pgd_3", "fgsm_8", "pgd_8", "autoattack")


def test_several_data_sets_or_recipes_are_chosen_from(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _line("333333"), _line("333333", recipe="long", results={"clean": 0.9}),
        _line("111111", dataset="cifar10"),
    )  # fmt: skip
    with pytest.raises(UserError, match="has the data sets digits, cifar10; choose with --dataset"):
        read_own_table(path)
    with pytest.raises(UserError, match="has the recipes quick, long; choose with --recipe"):
        read_own_table(path, "digits")
    with pytest.raises(UserError, match="unknown recipe 'other'; choose from quick, long"):
        read_own_table(path, "digits", "other")
    table, _ = read_own_table(tmp_path, "digits", "long")
    assert table.values("digits", "clean").tolist() == [0.9]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "line 1 is not of a sweep of this version"),
        ({"results": {"clean": 1.5}}, "line 1 has clean = 1.5, which is not a fraction"),
        ({"results": {"clean": "0.5"}}, "which is not a fraction"),
        ({"results": {"clean": 10**400}}, "which is not a fraction"),
        ({"results": {"\x1b[2J": 0.5}}, r"has the name '\\x1b\[2J', which cannot be shown"),
        ({"recipe": "a\nb"}, r"has the name 'a\\nb', which cannot be shown"),
        ({"results": {"x" * 9000: 0.5}}, "which cannot be shown"),
        ({"seed": "0"}, "seed is '0', not a whole number"),
        ({"status": "failed", "results": {}}, "has no finished training of digits by quick"),
    ],
)
def test_a_line_that_is_none_is_named(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read_own_table(_write(tmp_path, _line("333333", **changes)))


def test_an_absent_or_empty_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no table .*; scripts/sweep.py makes one"):
        read_own_table(tmp_path)
    with pytest.raises(UserError, match="has no finished line yet"):
        read_own_table(_write(tmp_path))


def test_what_a_command_line_leaves_open_is_the_tables() -> None:
    given = argparse.Namespace(dataset=None, metric=None, objectives=None, methods=["random"])
    fill_in(given, ("digits",), ("clean", "pgd_32"), "pgd_32", costs=False)
    assert (given.dataset, given.metric) == ("digits", "pgd_32")
    assert given.objectives == ["params", "clean", "pgd_32"]
    front = argparse.Namespace(dataset="digits", objectives=["clean", "flops"])
    fill_in(front, ("digits",), ("clean",), "clean", costs=False)
    assert front.objectives == ["clean", "flops"] and "metric" not in front
    top = argparse.Namespace(dataset="digits", metric="params")
    fill_in(top, ("digits",), ("clean",), "clean", costs=True)
    with pytest.raises(UserError, match="unknown metric 'params'; choose from clean"):
        fill_in(top, ("digits",), ("clean",), "clean", costs=False)
    with pytest.raises(UserError, match="unknown data set 'digits'; choose from cifar10"):
        fill_in(top, ("cifar10",), ("clean",), "clean", costs=True)
