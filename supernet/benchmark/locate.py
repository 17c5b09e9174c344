"""Where a benchmark table lies: under a data root, in a folder, or named itself."""

from pathlib import Path

from supernet.benchmark.files import FOLDER, LARGE_META, LARGE_TABLE, ORDER, TABLE
from supernet.errors import UserError
from supernet.files import DATA_ROOT_VARIABLE, data_root

_FORMS = ((TABLE.name, ORDER.name), (LARGE_TABLE, LARGE_META))


def locate(where: str | Path | None) -> tuple[Path, Path]:
    """(table, order) for an argument of `Table.load`."""
    path = None if where is None else Path(where).expanduser()
    if path is not None and path.is_file():
        order = dict(_FORMS).get(path.name, ORDER.name)
        return path, path.with_name(order)
    root = data_root(where)
    if root is None:
        raise UserError(
            f"no data root: name the folder that holds {FOLDER}/{TABLE.name} with --data-root or "
            f"{DATA_ROOT_VARIABLE} (the file is at {TABLE.url})"
        )
    pair = pair_in(root)
    if pair is None:
        raise UserError(
            f"no benchmark table under {root}: put {TABLE.name} and {ORDER.name} from "
            f"{TABLE.url.removesuffix(TABLE.name)} into {root / FOLDER}"
        )
    return pair


def pair_in(root: Path) -> tuple[Path, Path] | None:
    """(table, order) in a folder or its `robbench201/`, or None where neither has a table."""
    for folder in (root / FOLDER, root):
        for table, order in _FORMS:
            if (folder / table).is_file():
                return folder / table, folder / order
    return None


def must_exist(order: Path, table: Path) -> None:
    """Raise a UserError when the second of a form's two files is not there."""
    if not order.is_file():
        raise UserError(f"{order} is missing; {table.name} cannot be read without it")
