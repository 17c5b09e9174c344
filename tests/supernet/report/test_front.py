"""The front's section says what front.json says."""

import json
from pathlib import Path

import pytest

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
            "code": cell.code, "params": cell.params(), "clean": 0.6, "robust": robust,
            "clean_loss": 1.2, "robust_loss": 2 - robust,
            "preference": preference, "strict": preference is None,
            "benchmark": query_cell(table, cell),
        }
        for cell, robust, preference in ((SMALL, 0.31, [0.0, 0.2, 0.8]), (FOUND, 0.42, None))
    ]  # fmt: skip
    truth = {"found": found_against_true(table, [SMALL, FOUND], "cifar10")}
    record = {
        "objectives": ["clean_loss", "robust_loss", "params"], "size_metric": "params",
        "images": 500, "attack": "pgd-10", "judged_by": "cifar10", "cells": cells,
        "archive": cells * 2, "found_vs_true": truth,
    }  # fmt: skip
    (folder / "front.json").write_text(json.dumps(record))


def test_cells_and_numbers(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supernet.report.run_files.load_table", lambda where: invented)
    run = RunFiles.read(write_run(tmp_path, invented))
    assert section(run) == []
    write_front(tmp_path, invented)
    text = "\n\n".join(section(run))
    assert "Of 4 scored cells, the 2 that none of the same size dominates" in text
    assert "| 0 | `111112` | 0.10 M | 1.200, 60.0 % | 1.690, 31.0 % |  | 0.0 0.2 0.8 |" in text
    assert "| 1 | `333133` | 1.29 M | 1.200, 60.0 % | 1.580, 42.0 % | yes | - |" in text
    assert (tmp_path / "figures" / "front.png").is_file()
    assert f"--genotype {tmp_path}/front.json:0" in text
    assert "### Found and true front" in text
    entry = query_cell(invented, FOUND)["results"]["cifar10"]
    assert f"| {100 * entry['clean']:.2f} % | {100 * entry['pgd_8']:.2f} % |" in text
    numbers = found_against_true(invented, [SMALL, FOUND], "cifar10")
    assert f"| found | 2 | {100 * numbers['hypervolume_ratio']:.1f} % |" in text


@pytest.mark.parametrize("older", ["accuracies", "all sizes compared"])
def test_a_front_of_another_version_is_named(tmp_path: Path, invented: Table, older: str) -> None:
    run = RunFiles.read(write_run(tmp_path, invented))
    write_front(tmp_path, invented)
    record = json.loads((tmp_path / "front.json").read_text())
    if older == "accuracies":
        record["objectives"] = ["clean", "robust", "params"]
    else:
        for cell in record["cells"]:
            del cell["strict"]
    (tmp_path / "front.json").write_text(json.dumps(record))
    text = "\n\n".join(section(run))
    assert f"search.py --resume {tmp_path}` writes it again" in text and "| 0 |" not in text
