"""The published forms of a table, read into one: values per evaluated cell, and who is whose twin.

Legend: R evaluated cells (6,466), K columns, 15,625 indices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.space import NUM_EDGES, OP_NAMES
from supernet.errors import UserError
from supernet.genotype import NUM_CELLS
from supernet.tabular.files import Loaded

NUM_UNIQUE = 6466
NUM_SEEDS = 3

LARGE_METRICS = {
    "clean": "val_acc",
    "fgsm_3": "val_fgsm_3.0_acc",
    "pgd_3": "val_pgd_3.0_acc",
    "fgsm_8": "val_fgsm_8.0_acc",
    "pgd_8": "val_pgd_8.0_acc",
    "autoattack": "autoattack",
}
LARGE_DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
_SMALL_METRICS = {
    "val_acc": "clean",
    "val_fgsm_3_acc": "fgsm_3",
    "val_pgd_3_acc": "pgd_3",
    "val_fgsm_8_acc": "fgsm_8",
    "val_pgd_8_acc": "pgd_8",
}
_SMALL_DATASETS = {"imagenet": "imagenet16-120", "ImageNet16-120": "imagenet16-120"}


@dataclass(frozen=True)
class Raw:
    """A table before its meaning."""

    unique: NDArray[np.int64]
    """(R,) indices of the evaluated cells, ascending."""
    row_of: NDArray[np.int64]
    """(15625,) row of every index's evaluated twin."""
    columns: tuple[tuple[str, str], ...]
    """K pairs (data set, column)."""
    values: NDArray[np.float64]
    """(R, K) fractions."""


def read_small(file: Loaded) -> Raw:
    """The form of the project page: key "" names the columns ("cifar10#val_acc"); an index has a
    list of values, or the index of its evaluated isomorph (one or more hops).

    Raises: UserError when an index is missing, a chain of isomorphs ends nowhere, or a value is
        not a fraction.
    """
    table = file.value
    if not isinstance(table, dict) or not isinstance(table.get(""), list):
        raise UserError(f'{file.path} has no "" entry that names its columns; download it again')
    columns = tuple(_small_column(str(name)) for name in table[""])
    unique = sorted(int(key) for key, entry in table.items() if key and isinstance(entry, list))
    rows = [table[str(index)] for index in unique]
    if {len(row) for row in rows} != {len(columns)}:
        raise UserError(f"{file.path}: not every cell has {len(columns)} values; download it again")
    row_number = {index: row for row, index in enumerate(unique)}
    row_of = [row_number[_follow(table, index, file)] for index in range(NUM_CELLS)]
    return _checked(file, unique, row_of, columns, rows)


def read_large(file: Loaded, meta: Loaded) -> tuple[Raw, list[str]]:
    """The larger form: `data[dataset][id][metric][seed]`, with "threeseed" the mean where it is
    given and a plain number for AutoAttack; `meta["ids"][id]` has "nb201-string" and "isomorph".

    Returns the table and the 15,625 six-digit codes in index order.

    Raises: UserError naming the entry that is missing or not a number.
    """
    try:
        ids = [meta.value["ids"][str(index)] for index in range(NUM_CELLS)]
        codes = [_code(entry["nb201-string"]) for entry in ids]
        twins = [int(entry["isomorph"]) for entry in ids]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{meta.path} is not the benchmark's meta.json (missing {error}); download it again"
        ) from error
    roots = [_follow_large(twins, index, meta) for index in range(NUM_CELLS)]
    unique = sorted(set(roots))
    columns = tuple((d, c) for d in LARGE_DATASETS for c in LARGE_METRICS)
    rows = [
        [_large_value(file, LARGE_DATASETS[d], str(index), LARGE_METRICS[c]) for d, c in columns]
        for index in unique
    ]
    row_number = {index: row for row, index in enumerate(unique)}
    return _checked(file, unique, [row_number[root] for root in roots], columns, rows), codes


def _small_column(name: str) -> tuple[str, str]:
    """Read `cifar10#val_pgd_8_acc` as (cifar10, pgd_8)."""
    dataset, _, metric = name.partition("#")
    return _SMALL_DATASETS.get(dataset, dataset), _SMALL_METRICS.get(metric, metric)


def _follow(table: dict[str, Any], index: int, file: Loaded) -> int:
    """The evaluated cell at the end of a chain of isomorphs."""
    key = str(index)
    for _ in range(NUM_CELLS):
        entry = table.get(key)
        if isinstance(entry, list):
            return int(key)
        if entry is None:
            raise UserError(f"{file.path} has no entry for index {key}; download it again")
        key = str(entry)
    raise UserError(f"{file.path}: the isomorphs of index {index} form a circle; download it again")


def _follow_large(twins: list[int], index: int, meta: Loaded) -> int:
    """The same in the larger form, where an evaluated cell is its own isomorph."""
    cell = index
    for _ in range(NUM_CELLS):
        if not 0 <= cell < NUM_CELLS:
            raise UserError(f"{meta.path} names an isomorph {cell} that is no index")
        if twins[cell] == cell:
            return cell
        cell = twins[cell]
    raise UserError(f"{meta.path}: the isomorphs of index {index} form a circle; download it again")


def _code(arch: str) -> str:
    """`|op~0|+...` -> six digits. Twenty times faster than Genotype.parse, and as strict."""
    names = [part.partition("~")[0] for part in arch.replace("+", "").split("|") if part]
    if len(names) != NUM_EDGES:
        raise KeyError(f"six operators in '{arch}'")
    return "".join(_DIGIT[name] for name in names)


_DIGIT = {name: str(digit) for digit, name in enumerate(OP_NAMES)}


def _large_value(file: Loaded, dataset: str, key: str, metric: str) -> float:
    try:
        entry = file.value[dataset][key][metric]
        if not isinstance(entry, dict):
            return float(entry)
        if "threeseed" in entry:
            return float(entry["threeseed"])
        return sum(entry.values()) / len(entry)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"{file.path} has no number for {dataset}, cell {key}, {metric}; download it again"
        ) from error


def _checked(
    file: Loaded,
    unique: list[int],
    row_of: list[int],
    columns: tuple[tuple[str, str], ...],
    rows: list[list[float]],
) -> Raw:
    if len(unique) != NUM_UNIQUE:
        raise UserError(
            f"{file.path} has {len(unique):,} evaluated cells instead of {NUM_UNIQUE:,}; "
            "download it again"
        )
    try:
        values = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{file.path} has values that are not numbers ({error})") from error
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise UserError(f"{file.path} has accuracies outside 0..1; they must be fractions")
    return Raw(np.array(unique), np.array(row_of), columns, values)
