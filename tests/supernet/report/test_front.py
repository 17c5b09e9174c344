"""The front's section says what front.json says."""

import json
from pathlib import Path

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.genotype import Genotype
from supernet.report.front import section
from supernet.report.run_files import RunFiles
from tests.supernet.report.runs import FOUND, write_run

SMALL = Genotype.parse("111112")


def write_front(folder: Path, table: Table) -> None:
    cells = [
        {
            "code": cell.code, "params": cell.params(), "gain": gain,
            "benchmark": query_cell(table, cell),
        }
        for cell, gain in ((SMALL, -0.012), (FOUND, 0.25))
    ]  # fmt: skip
    record = {
        "size_metric": "params", "picked_by": "inner_gains", "judged_by": "cifar10",
        "cells": cells,
        "found_vs_true": found_against_true(table, [SMALL, FOUND], "cifar10"),
    }  # fmt: skip
    (folder / "front.json").write_text(json.dumps(record))


def test_cells_and_numbers(tmp_path: Path, invented: Table) -> None:
    run = RunFiles.read(write_run(tmp_path, invented), invented)
    write_front(tmp_path, invented)
    text = "\n\n".join(section(run))
    assert "A menu of 2 cells" in text
    entry = query_cell(invented, FOUND)["results"]["cifar10"]
    values = f"{100 * entry['clean']:.2f} % | {100 * entry['pgd_8']:.2f} %"
    assert "| 0 | `111112` | 0.10 M | -12 |" in text
    assert f"| 1 | `333133` | 1.29 M | +250 | {values} |" in text
    assert (tmp_path / "figures" / "front.png").is_file()
    assert f"--genotype {tmp_path}/front.json:0" in text
    numbers = found_against_true(invented, [SMALL, FOUND], "cifar10")
    assert f"| 2 | {100 * numbers['hypervolume_ratio']:.1f} % |" in text
