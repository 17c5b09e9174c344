"""The table, from the published files where they are at hand, else from the form that ships."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from supernet.benchmark.files import ORDER, SHIPPED, TABLE, Loaded, load_json, uncollected
from supernet.benchmark.formats import Raw, read_large, read_meta, read_small
from supernet.benchmark.locate import locate, must_exist
from supernet.benchmark.shipped import read_shipped
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.cells.order import IndexOrder, published_order
from supernet.errors import UserError


def load_table(where: str | Path | None = None, *, verify: bool = True) -> Table:
    """Read the table from a data root, from a folder with its files, or from one of its files.

    Both published forms are read: `NAS-RobBench-201_html.json` with `ops.json`, and
    `NAS-RobBench-201_all.json` with `meta.json`. Without an argument the data root is the one of
    `supernet.files.data_root`; where none of this has a table, the shipped one is taken.

    Raises: UserError when a file is not what it should be: one sentence that names the file, what
        was received instead, and where to get it.
    """
    pair = locate(where)
    return shipped_table() if pair is None else _read(*pair, verify=verify)


@functools.cache
def shipped_table() -> Table:
    """The table that ships with this package: the same values. 30 ms, once a process."""
    made_of = {file.name: file.sha256 for file in (TABLE, ORDER)}
    source = {
        "file": SHIPPED.name,
        "sha256": SHIPPED.sha256,
        "verified": True,
        "made_of": made_of,
    }
    table = _table(read_shipped(), published_order(), [source])
    table.matrix.setflags(write=False)
    return table


def _read(path: Path, order: Path, *, verify: bool) -> Table:
    must_exist(order, path)
    with uncollected():
        if order.name == ORDER.name:
            files = (load_json(path, verify=verify), load_json(order, verify=verify))
            # A file that passes its hash check is still read by the order's one parser.
            cells = IndexOrder.load(order, verify=verify)
            return _table(read_small(files[0]), cells, _sources(files), files[0])
        meta = load_json(order, verify=verify)
        codes, roots = read_meta(meta, verify=verify)
        meta = meta.emptied()
        files = (load_json(path, verify=verify), meta)
        raw = read_large(files[0], roots)
        return _table(raw, IndexOrder(codes), _sources(files), files[0])


def _table(
    raw: Raw, order: IndexOrder, sources: list[dict[str, Any]], file: Loaded | None = None
) -> Table:
    wanted = [(dataset, column) for dataset in DATASETS for column in COLUMNS]
    missing = [pair for pair in wanted if pair not in raw.columns]
    if missing:
        dataset, column = missing[0]
        raise UserError(
            f"{file and file.path} has no column {dataset}#{column} (it has "
            f"{'#'.join(raw.columns[0])}, ...): it is another table; "
            f"download {TABLE.name} from {TABLE.url}"
        )
    places = [raw.columns.index(pair) for pair in wanted]
    by_column = np.ascontiguousarray(raw.values[:, places].T)
    matrix = by_column.reshape(len(DATASETS), len(COLUMNS), -1)
    return Table(order, raw.unique.tolist(), raw.row_of, matrix, sources)


def _sources(files: Sequence[Loaded]) -> list[dict[str, Any]]:
    return [{"file": f.path.name, "sha256": f.sha256, "verified": f.verified} for f in files]
