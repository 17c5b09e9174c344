"""The section on refinement: the path, and the cells of each sweep in their order."""

import json
from pathlib import Path
from typing import Any

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report import refinement
from supernet.report.run_files import RunFiles
from supernet.report.words import percent
from tests.supernet.report.runs import write_run

RECORD: dict[str, Any] = {
    "proposals": {"supernet": ["323332"], "free": ["333333", "333133"]},
    "sweeps": [
        {"start": None, "chosen": "333333", "rounds": [
            {"number": 0, "cells": ["323332", "333333", "333133"],
             "losses": [2.5, 2.25, 1000.0], "scores": [0.5, 2.0, 0.1]},
        ]},
        {"start": "333333", "chosen": "333123", "rounds": [
            {"number": 0, "cells": ["333133", "333123", "133333"],
             "losses": [2.0, 2.1, 2.2], "scores": [1.0, 0.9, 0.8]},
            {"number": 1, "cells": ["333333", "333133", "333123"],
             "losses": [1.9, 1.8, 1.7], "scores": [0.1, 0.2, 0.3]},
        ]},
    ],
    "answer": "333123", "trainings": 9, "cpu_seconds": 65.0,
}  # fmt: skip


def _section(tmp_path: Path, table: Table, **config: Any) -> list[str]:
    folder = write_run(tmp_path / "run", table)
    description = json.loads((folder / "config.json").read_text())
    description["config"] |= {"refine_steps": [50, 100], "refine_attack": "none", **config}
    (folder / "config.json").write_text(json.dumps(description))
    (folder / "refine.json").write_text(json.dumps(RECORD))
    return refinement.section(RunFiles.read(folder, table))


def test_a_run_without_one_has_no_section(tmp_path: Path, invented: Table) -> None:
    assert refinement.section(RunFiles.read(write_run(tmp_path / "run", invented), invented)) == []


def test_the_path_and_its_cost(tmp_path: Path, invented: Table) -> None:
    text = _section(tmp_path, invented)[1]
    assert "led from the search's proposals to the answer: 333333 -> 333123." in text
    assert "by the supernet `323332`; by scores that need no training `333333`, `333133`." in text
    assert "9 trainings on clean images" in text and "1 min 5 s" in text
    assert "nothing was chosen by them." in text
    attacked = _section(tmp_path / "attacked", invented, refine_attack="n_fgsm")[1]
    assert "9 trainings on images attacked by n_fgsm" in attacked


def test_values_that_the_prior_has_seen_prove_nothing(tmp_path: Path, invented: Table) -> None:
    _section(tmp_path, invented)
    path = tmp_path / "run" / "genotype.json"
    record = json.loads(path.read_text())
    record["proposals"] |= {"prior_used": True, "prior_datasets": ["cifar10"]}
    path.write_text(json.dumps(record))
    text = refinement.section(RunFiles.read(tmp_path / "run", invented))[1]
    assert "took part through the prior" in text and "nothing was chosen" not in text


def test_the_cells_of_a_sweep_stand_in_the_order_of_their_last_round(
    tmp_path: Path, invented: Table
) -> None:
    _, _, first, proposals, second, changes = _section(tmp_path, invented)
    assert (first, second) == ("### The proposals", "### Changes of 333333")
    assert [line.split("|")[1].strip() for line in changes.splitlines()[2:]] == [
        "`333123` **(chosen)**", "`333133`", "`333333`", "`133333`",
    ]  # fmt: skip
    assert "| 0 to 3: skip_connect; 1 to 3: nor_conv_1x1 | 1.07 M | 2.100 | 1.700 |" in changes
    # Its score of 0.30 is all from losses: three of three cells are behind.
    assert "| 1.07 M | 2.100 | 1.700 | 0.00 | 0.30 |" in changes
    assert "| `133333` | 0 to 1: skip_connect | 1.29 M | 2.200 | - |" in changes
    value = invented.values("cifar10", "pgd_8")[invented.row(Genotype.parse("333123"))]
    assert percent(value) in changes
    assert "not finite" in next(line for line in proposals.splitlines() if "`333133`" in line)
