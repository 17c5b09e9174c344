"""Where a benchmark table lies: under a data root, in a folder, or named itself."""

from pathlib import Path

from supernet.benchmark.files import FOLDER, LARGE_META, LARGE_TABLE, ORDER, TABLE
from supernet.errors import UserError
from supernet.files import at_home, data_root

_FORMS = ((TABLE.name, ORDER.name), (LARGE_TABLE, LARGE_META))


def locate(where: str | Path | None) -> tuple[Path, Path] | None:
    """(table, order) for an argument of `load_table`; None where there is no published table.

    In a folder, by default the data root, its `robbench201/` is looked into first.
    """
    path = None if where is None else at_home(where)
    if path is not None and path.is_file():
        order = dict(_FORMS).get(path.name, ORDER.name)
        return path, path.with_name(order)
    root = data_root(where)
    if root is None:
        return None
    for folder in (root / FOLDER, root):
        for table, name in _FORMS:
            if (folder / table).is_file():
                return folder / table, folder / name
    return None


def must_exist(order: Path, table: Path) -> None:
    """Raise a UserError when the second of a form's two files is not there."""
    if not order.is_file():
        raise UserError(f"{order} is missing; {table.name} cannot be read without it")
