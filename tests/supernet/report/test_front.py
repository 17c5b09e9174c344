"""The front's section says what front.json says."""

import json
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.genotype import Genotype
from supernet.report.front import section
from supernet.report.run_files import RunFiles
from tests.supernet.report.runs import FOUND, write_run

SMALL, OTHER_SMALL = (Genotype.parse(code) for code in ("111112", "111121"))


def write_front(folder: Path, table: Table, **changes: Any) -> dict[str, Any]:
    chosen = ((SMALL, 1), (OTHER_SMALL, 2), (FOUND, 1))
    cells = [
        {
            "code": cell.code, "params": cell.params(), "place": place,
            "benchmark": query_cell(table, cell),
        }
        for cell, place in chosen
    ]  # fmt: skip
    shares = {"random": 0.9, "synflow": 0.91, "menu": 0.92, "prior": 0.93}
    record = {
        "size_metric": "params", "picked_by": "menu", "per_size": 2, "judged_by": "cifar10",
        "judge_is_in_prior": False, "prior_datasets": [], "cells": cells,
        "found_vs_true": found_against_true(table, [cell for cell, _ in chosen], "cifar10"),
        "first_choices_vs_true": found_against_true(table, [SMALL, FOUND], "cifar10"),
        "compared": [
            {"name": name, "per_size": most, "hypervolume_ratio": share + most / 100,
             **({"interval": [0.85, 0.951]} if name == "random" else {}),
             **({"datasets": ["cifar100", "imagenet16-120"]} if name == "prior" else {})}
            for most in (1, 2) for name, share in shares.items()
        ],
    } | changes  # fmt: skip
    (folder / "front.json").write_text(json.dumps(record))
    return record


@pytest.mark.slow
def test_a_line_for_each_size(tmp_path: Path, invented: Table) -> None:
    run = RunFiles.read(write_run(tmp_path, invented), invented)
    record = write_front(tmp_path, invented)
    text = "\n\n".join(section(run))
    assert "A menu of 3 cells: of each of 2 sizes, the 2 cells that free scores like best" in text
    for cell, number, further in ((SMALL, 0, "`111121` (1)"), (FOUND, 2, "-")):
        entry = query_cell(invented, cell)
        value = entry["results"]["cifar10"]
        shown = f"{100 * value['clean']:.2f} % | {100 * value['pgd_8']:.2f} %"
        rank = f"{entry['ranks']['cifar10']['pgd_8']:,}"
        size = f"{cell.params() / 1e6:.2f} M"
        assert f"| {size} | `{cell.code}` ({number}) | {shown} | {rank} | {further} |" in text
    assert (tmp_path / "figures" / "front.png").is_file()
    assert f"--genotype {tmp_path}/front.json:0" in text
    for name, words, cells in (
        ("found_vs_true", "all choices", 3), ("first_choices_vs_true", "first choices", 2),
    ):  # fmt: skip
        share = record[name]["hypervolume_ratio"]
        assert f"| {words} | {cells} | {100 * share:.1f} % |" in text


@pytest.mark.slow
def test_menus_without_a_search_stand_next_to_it(tmp_path: Path, invented: Table) -> None:
    run = RunFiles.read(write_run(tmp_path, invented), invented)
    write_front(tmp_path, invented)
    text = "\n".join(section(run))
    assert "| hypervolume without a search | 1 of each size | 2 of each size |" in text
    assert "| random cells | 91.0 % [85.0, 95.1] | 92.0 % [85.0, 95.1] |" in text
    assert "| synflow alone | 92.0 % | 93.0 % |" in text
    assert "| prior alone | 94.0 % | 95.0 % |" in text
    assert "The prior alone is made of CIFAR-100 and ImageNet16-120." in text
    assert "which this search did not read" in text


@pytest.mark.slow
def test_a_prior_that_holds_the_judge_proves_nothing(tmp_path: Path, invented: Table) -> None:
    run = RunFiles.read(write_run(tmp_path, invented), invented)
    write_front(tmp_path, invented, picked_by="prior", judge_is_in_prior=True)
    text = "\n".join(section(run))
    assert "the 2 cells that the prior puts first" in text
    assert "The prior holds what CIFAR-10 says of these cells, so these numbers prove noth" in text
    assert "which this search did not read" not in text
