"""Benchmark tables for tests: the published one, as it ships, and an invented one.

The invented one is written in either published form. Every class has values that are a known
function of its canonical string, so that a test can say what the table must answer. The index
order is a fixed shuffle, so that an index is never a code by chance.
"""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.load import load_table, shipped_table
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype, all_genotypes

SMALL_COLUMNS = [
    f"{dataset}#{metric}"
    for dataset in ("cifar10", "cifar100", "imagenet")
    for metric in (
        "val_acc",
        "val_fgsm_3_acc",
        "val_pgd_3_acc",
        "val_fgsm_8_acc",
        "val_pgd_8_acc",
        "autoattack",
    )
]


def shuffled_cells() -> list[Genotype]:
    """The 15,625 cells in an invented index order."""
    cells = list(all_genotypes())
    random.Random(201).shuffle(cells)
    return cells


def class_values(canonical: str, num_columns: int) -> list[float]:
    """Values of a class: hash bytes in steps of 1/1000, so that ties happen."""
    digest = hashlib.shake_128(canonical.encode()).digest(2 * num_columns)
    return [
        int.from_bytes(digest[2 * k : 2 * k + 2], "big") % 1000 / 1000 for k in range(num_columns)
    ]


def some_cells(classes: int) -> list[Genotype]:
    """All members of so many classes, in an invented index order; half of them have twins."""
    members: dict[str, list[Genotype]] = {}
    for cell in shuffled_cells():
        members.setdefault(cell.canonical, []).append(cell)
    few = sorted((each for each in members.values() if len(each) < 6), key=len, reverse=True)
    chosen = [*few[: classes // 2], *few[len(few) - (classes - classes // 2) :]]
    cells = [cell for each in chosen for cell in each]
    random.Random(201).shuffle(cells)
    return cells


def small_form(
    columns: list[str] = SMALL_COLUMNS, cells: list[Genotype] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """(table, codes) of all cells, or of these: the first index of a class is the evaluated one;
    others point at it, the last of every class of three or more through another member (two
    hops)."""
    cells = shuffled_cells() if cells is None else cells
    members: dict[str, list[int]] = {}
    table: dict[str, Any] = {"": columns}
    for index, cell in enumerate(cells):
        seen = members.setdefault(cell.canonical, [])
        if not seen:
            table[str(index)] = class_values(cell.canonical, len(columns))
        else:
            table[str(index)] = str(seen[-1] if len(seen) == 2 else seen[0])
        seen.append(index)
    return table, [cell.code for cell in cells]


def write_small(folder: Path) -> Path:
    """`robbench201/` under the folder with the small form; returns the table's path."""
    table, codes = small_form()
    target = folder / "robbench201"
    target.mkdir(parents=True, exist_ok=True)
    (target / "ops.json").write_text(f"arch={json.dumps(codes)};")
    path = target / "NAS-RobBench-201_html.json"
    path.write_text(f"acc={json.dumps(table)};")
    return path


def write_large(folder: Path, cells: list[Genotype] | None = None) -> Path:
    """The larger form with the same means; returns the table's path."""
    small, codes = small_form(cells=cells)
    target = folder / "robbench201"
    target.mkdir(parents=True, exist_ok=True)
    names = ["val_acc", "val_fgsm_3.0_acc", "val_pgd_3.0_acc", "val_fgsm_8.0_acc"]
    names += ["val_pgd_8.0_acc", "autoattack"]
    data: dict[str, Any] = {"cifar10": {}, "cifar100": {}, "imagenet": {}}
    ids = {}
    for index, code in enumerate(codes):
        root = entry = small[str(index)]
        twin = str(index)
        while not isinstance(entry, list):
            twin, entry = entry, small[entry]
        ids[str(index)] = {"nb201-string": Genotype.parse(code).arch, "isomorph": twin}
        if isinstance(root, list):
            for place, dataset in enumerate(data):
                values = root[6 * place : 6 * place + 6]
                data[dataset][str(index)] = dict(zip(names, map(_seeds, values), strict=True))
                data[dataset][str(index)]["autoattack"] = values[5]
    (target / "meta.json").write_text(json.dumps({"ids": ids}))
    path = target / "NAS-RobBench-201_all.json"
    path.write_text(json.dumps(data))
    return path


def _seeds(mean: float) -> dict[str, float]:
    return {"0": mean - 0.01, "1": mean, "2": mean + 0.01, "threeseed": mean}


@pytest.fixture(scope="session")
def invented_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the invented table in its small form."""
    root = tmp_path_factory.mktemp("invented")
    write_small(root)
    return root


@pytest.fixture(scope="session")
def invented(invented_root: Path) -> Table:
    """The invented table."""
    return load_table(invented_root, verify=False)


@pytest.fixture(scope="session")
def real() -> Table:
    """The published table, in the form that ships."""
    return shipped_table()
