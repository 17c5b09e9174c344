"""The readers of the benchmark's tables, of few cells and of all."""

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from supernet.benchmark import formats
from supernet.benchmark.files import LARGE_META, LARGE_TABLE, ORDER, STANDARD, TABLE
from supernet.benchmark.load import load_table
from supernet.benchmark.standard import STANDARD_COLUMNS, StandardTable
from supernet.cells import order
from supernet.cells.genotype import Genotype
from supernet.cells.order import IndexOrder
from tests.fuzz.reader import Reader
from tests.tables import small_form, some_cells, write_large

FEW = 24
"""Classes of isomorphic cells in a table that is read in milliseconds."""


@functools.cache
def _table() -> tuple[bytes, bytes]:
    """The table and its order, of all cells."""
    return _small_files(None)


@functools.cache
def _few_cells() -> list[Genotype]:
    return some_cells(FEW)


@functools.cache
def _few() -> tuple[bytes, bytes]:
    """The same of few classes."""
    return _small_files(_few_cells())


def _small_files(cells: list[Genotype] | None) -> tuple[bytes, bytes]:
    table, codes = small_form(cells=cells)
    return f"acc={json.dumps(table)};".encode(), f"arch={json.dumps(codes)};".encode()


def _with_few(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Reads a table of few classes in milliseconds, as one of all of them is read in seconds."""

    def read_few(path: Path) -> None:
        cells = _few_cells()
        known = IndexOrder([cell.code for cell in cells])
        with (
            mock.patch.multiple(formats, NUM_CELLS=len(cells), NUM_UNIQUE=FEW),
            mock.patch.object(order, "published_order", lambda: known),
        ):
            read(path)

    return read_few


@functools.cache
def _large() -> tuple[bytes, bytes]:
    return _large_files("large", None)


@functools.cache
def _few_large() -> tuple[bytes, bytes]:
    return _large_files("few", _few_cells())


def _large_files(name: str, cells: list[Genotype] | None) -> tuple[bytes, bytes]:
    table = write_large(Path(tempfile.mkdtemp()) / name, cells)
    return table.read_bytes(), table.with_name("meta.json").read_bytes()


SMALL_NAMES, LARGE_NAMES = (TABLE.name, ORDER.name), (LARGE_TABLE, LARGE_META)


def _of_table(
    names: tuple[str, str], files: Callable[[], tuple[bytes, bytes]], which: int, *, few: bool
) -> Reader:
    """The reader of a table's first or second file, with the other one beside it."""

    def read(path: Path) -> None:
        load_table(path.with_name(names[0]), verify=False)

    return Reader(
        _with_few(read) if few else read, names[which], lambda: [files()[which]],
        lambda folder: (folder / names[1 - which]).write_bytes(files()[1 - which]),
        json=(names[which] != ORDER.name),
    )  # fmt: skip


WHOLE = {
    "whole table": _of_table(SMALL_NAMES, _table, 0, few=False),
    "whole order": _of_table(SMALL_NAMES, _table, 1, few=False),
    "whole larger table": _of_table(LARGE_NAMES, _large, 0, few=False),
    "whole larger order": _of_table(LARGE_NAMES, _large, 1, few=False),
}
"""Of all cells: up to a second each, so that the driver reads them where they are named alone."""


@functools.cache
def _standard() -> list[bytes]:
    columns = [f"cifar10#{name}" for name in STANDARD_COLUMNS]
    return [f"acc={json.dumps(small_form(columns, _few_cells())[0])};".encode()]


def _read_standard(path: Path) -> None:
    table = StandardTable.load(path.parent, verify=False)
    table.values("cifar10", table.columns("cifar10")[0])


TABLE_READERS = {
    "larger table": _of_table(LARGE_NAMES, _few_large, 0, few=True),
    "larger order": _of_table(LARGE_NAMES, _few_large, 1, few=True),
    "table": _of_table(SMALL_NAMES, _few, 0, few=True),
    "order": _of_table(SMALL_NAMES, _few, 1, few=True),
    "standard table": Reader(_with_few(_read_standard), STANDARD.name, _standard, json=True),
    **WHOLE,
}
