"""The published forms of a table, read into one: values per evaluated cell, and who is whose twin.

Legend: R evaluated cells (6,466), K columns, 15,625 indices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ops.space import OP_NAMES
from supernet.benchmark.files import Loaded
from supernet.cells.genotype import NUM_CELLS
from supernet.cells.order import is_complete, refuse_other_order
from supernet.errors import UserError

NUM_UNIQUE = 6466

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


_ODD = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError,
)  # fmt: skip
"""What looking up something raises in a file that is not what it should be."""


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
    names = table[""]
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f'{file.path}: "" does not hold names of columns; download it again')
    columns = tuple(map(_small_column, names))
    unique = [i for i in range(NUM_CELLS) if isinstance(table.get(str(i)), list)]
    rows = [table[str(index)] for index in unique]
    if {len(row) for row in rows} != {len(columns)}:
        raise UserError(f"{file.path}: not every cell has {len(columns)} values; download it again")
    return _checked(file, unique, _rows_of(table, unique, file), columns, rows)


def read_meta(meta: Loaded, *, verify: bool = True) -> tuple[list[str], NDArray[np.int64]]:
    """`meta["ids"][id]` with "nb201-string" and "isomorph": the six-digit code of every index, and
    the index of its evaluated isomorph.

    Raises: UserError when the file is not that, or (with `verify`) when it has the cells in another
        order than the published one.
    """
    try:
        ids = list(map(meta.value["ids"].__getitem__, map(str, range(NUM_CELLS))))
        codes = _codes([entry["nb201-string"] for entry in ids])
        twins = np.array([int(entry["isomorph"]) for entry in ids], dtype=np.int64)
        if not is_complete(codes):
            raise ValueError("a cell is there twice and another is missing")
    except _ODD as error:
        raise UserError(
            f"{meta.path} is not the benchmark's meta.json ({_short(error)}); download it again"
        ) from error
    if verify:
        refuse_other_order(meta.path, codes)
    return codes, _roots(twins, meta)


def read_large(file: Loaded, roots: NDArray[np.int64]) -> Raw:
    """The larger form: `data[dataset][id][metric][seed]`, with "threeseed" the mean where it is
    given and a plain number for AutoAttack. `roots` come from `read_meta`.

    Raises: UserError naming the entry that is missing or not a number.
    """
    unique, row_of = np.unique(roots, return_inverse=True)
    columns = tuple((d, c) for d in LARGE_DATASETS for c in LARGE_METRICS)
    keys = list(map(str, unique.tolist()))
    by_column = []
    for dataset in LARGE_DATASETS.values():
        by_column += _large_dataset(file, dataset, keys)
    return _checked(file, unique, row_of, columns, by_column, by_column=True)


def _small_column(name: str) -> tuple[str, str]:
    """Read `cifar10#val_pgd_8_acc` as (cifar10, pgd_8)."""
    dataset, _, metric = name.partition("#")
    return _SMALL_DATASETS.get(dataset, dataset), _SMALL_METRICS.get(metric, metric)


def _rows_of(table: dict[str, Any], unique: list[int], file: Loaded) -> list[int]:
    """(15625,) the row at the end of every index's chain of isomorphs, each link followed once."""
    row_of = {str(index): row for row, index in enumerate(unique)}
    for index in range(NUM_CELLS):
        passed: dict[str, None] = {}
        key = str(index)
        while key not in row_of:
            if key in passed:
                raise UserError(
                    f"{file.path}: the isomorphs of index {index} form a circle; download it again"
                )
            following = table.get(key)
            if not isinstance(following, int | str):
                raise UserError(f"{file.path} has no entry for index {key[:20]}; download it again")
            passed[key] = None
            key = str(following)
        row_of.update(dict.fromkeys(passed, row_of[key]))
    return [row_of[str(index)] for index in range(NUM_CELLS)]


def _roots(twins: NDArray[np.int64], meta: Loaded) -> NDArray[np.int64]:
    """The same in the larger form, where an evaluated cell is its own isomorph."""
    if not ((twins >= 0) & (twins < NUM_CELLS)).all():
        raise UserError(f"{meta.path} names an isomorph that is not an index; download it again")
    # Each pass doubles the hops taken: 2^14 covers the longest chain of 15,625 cells.
    roots = twins
    for _ in range(15):
        roots = roots[roots]
    if (twins[roots] != roots).any():
        raise UserError(f"{meta.path}: isomorphs form a circle; download it again")
    return roots


def _codes(archs: list[str]) -> list[str]:
    """NAS-Bench-201 strings -> six digits each, all at once: one by one takes 0.1 s."""
    text = "\n".join(archs)
    for digit, name in enumerate(OP_NAMES):
        text = text.replace(f"{name}~", f"{digit}~")
    codes = []
    for line in text.split("\n"):
        a, b, c, d, e, f = digits = line[1:2], *(line[k : k + 1] for k in (7, 11, 17, 21, 25))
        if line != f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|" or not set(digits) <= _DIGITS:
            raise ValueError(f"cell {line[:60]!r} is not a NAS-Bench-201 string")
        codes.append("".join(digits))
    return codes


_DIGITS = set(map(str, range(len(OP_NAMES))))


def _large_dataset(file: Loaded, dataset: str, keys: list[str]) -> list[list[float]]:
    """The columns of one data set."""
    try:
        cells = file.value[dataset]
        return [_large_column(cells, metric, keys) for metric in LARGE_METRICS.values()]
    except _NoNumber as error:
        raise UserError(
            f"{file.path} has no number for {dataset}, {error}; download it again"
        ) from error
    except _ODD as error:
        raise UserError(
            f"{file.path} is cut short or damaged at data set {dataset} ({_short(error)}); "
            "download it again"
        ) from error


class _NoNumber(Exception):
    """Names a cell and a metric without a value."""


def _large_column(cells: Any, metric: str, keys: list[str]) -> list[float]:
    """A column: in one pass where every cell has a plain number, or every one "threeseed"."""
    try:
        if not isinstance(cells[keys[0]][metric], dict):
            return [float(cells[key][metric]) for key in keys]
        return [cells[key][metric]["threeseed"] for key in keys]
    except _ODD:
        return [_large_value(cells, metric, key) for key in keys]


def _large_value(cells: Any, metric: str, key: str) -> float:
    try:
        entry = cells[key][metric]
        if not isinstance(entry, dict):
            return float(entry)
        if "threeseed" in entry:
            return float(entry["threeseed"])
        return float(sum(entry.values()) / len(entry))
    except _ODD as error:
        raise _NoNumber(f"cell {key}, {metric}") from error


def _short(error: Exception) -> str:
    return repr(error)[:120]


def _checked(
    file: Loaded,
    unique: ArrayLike,
    row_of: ArrayLike,
    columns: tuple[tuple[str, str], ...],
    rows: ArrayLike,
    *,
    by_column: bool = False,
) -> Raw:
    cells = np.asarray(unique)
    if len(cells) != NUM_UNIQUE:
        raise UserError(
            f"{file.path} has {len(cells):,} evaluated cells instead of {NUM_UNIQUE:,}; "
            "download it again"
        )
    try:
        values = np.array(rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{file.path} has values that are not numbers ({_short(error)})") from error
    values = values.T if by_column else values
    # A text that looks like a number, None or a list makes an array of another kind or shape.
    if values.dtype.kind not in "fiu" or values.shape != (len(cells), len(columns)):
        raise UserError(f"{file.path} has values that are not numbers; download it again")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise UserError(f"{file.path} has accuracies outside 0..1; they must be fractions")
    return Raw(cells, np.asarray(row_of), columns, values.astype(np.float64))
