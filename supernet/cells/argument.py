"""What a command line may name cells by: a file, a string, a code or an index. No torch here."""

import json
import re
from pathlib import Path
from typing import Any

from supernet.cells.genotype import Genotype
from supernet.cells.order import find_index_order, resolve
from supernet.errors import UserError
from supernet.files import MOST_JSON_BYTES, at_home, read_json
from supernet.shapes import Maybe, Within, require

_IMAGES = {"dataset": Maybe((str, None)), "side": Maybe((Within(int, 1, 10**6), None))}
"""What a training takes from the record of a cell, with its shape."""


def read_cell(text: str, data_root: Path | None = None) -> tuple[Genotype, dict[str, Any]]:
    """The cell, and the record of the file it came from (empty where it came from no file).

    `runs/a` or `runs/a/genotype.json`: the cell a search found; `front.json:3`: cell 3, counted
    from 0, of a list (or of the list under "cells"); `|nor_conv_3x3~0|+...`, `333133` or `9930`.

    Raises: UserError that says what is wrong with the file, the place in it, or the cell.
    """
    path, number = _as_path(text)
    if path is None:
        if re.fullmatch(r"[^|+\d][^|+]{0,99}", text.strip()):
            raise UserError(
                f"'{text}' is neither a file or folder here nor a cell; name one that is there, or"
                " write six digits or |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            )
        return resolve(text, find_index_order(data_root)), {}
    record = read_json(path)
    if number is not None:
        record = _entry(record, number, path)
    cell = record.get("arch") or record.get("code") if isinstance(record, dict) else None
    if not isinstance(cell, str):
        many = len(_cells(record) or ())
        hint = f"; it holds a list, name one as {path}:0 to :{many - 1}" if many else ""
        raise UserError(f"{path} names no cell: it has neither arch nor code{hint}")
    require(record, _IMAGES, path)
    return Genotype.parse(cell), record


def index_remark(text: str) -> str | None:
    """A remark on a number that is read as an index and may be a code without its leading zeros,
    which spreadsheets take away; None for all else."""
    if not re.fullmatch(r"\s*[0-4]{4,5}\s*", text):
        return None
    number = text.strip()
    return f"{number} is read as an index; the cell with the code {number:0>6} is another one"


def read_cells(path: Path) -> list[str]:
    """Cells from a file: one a line (# starts a comment), or JSON objects with `arch` or `code`.

    Raises: UserError when the file cannot be read or names no cell.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_JSON_BYTES + 1)
        text = data.decode("utf-8-sig")  # Windows begins a file with a mark
    except OSError as error:
        raise UserError(f"cannot read cells from {path}: {error.strerror}; check it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    if "\0" in text:  # as UTF-16 without its mark has
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8")
    if len(data) > MOST_JSON_BYTES:
        raise UserError(f"{path} is longer than {MOST_JSON_BYTES:,} bytes; name another file")
    if text.lstrip()[:1] in ("{", "["):
        return _cells_of_json(path, text)
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    cells = [line for line in lines if line]
    if not cells:
        raise UserError(f"{path} names no cell; write one string, code or index a line")
    return cells


def _as_path(text: str) -> tuple[Path | None, int | None]:
    # An arch holds | and ~, a code or an index only digits: neither is taken for a file.
    if text.startswith("|") or re.fullmatch(r"\s*\d+\s*", text):
        return None, None
    found = re.fullmatch(r"(.+\.json):(\d{1,9})", text)
    path = at_home(found[1] if found else text)
    try:
        if path.is_dir():
            path = path / "genotype.json"
        exists = path.exists()
    except OSError:  # longer than the name of any file
        return None, None
    if not exists and path.suffix != ".json" and "/" not in text:
        return None, None
    return path, int(found[2]) if found else None


def _cells(record: Any) -> list[Any] | None:
    """The list that a file holds, itself or under "cells"; None where it holds none."""
    cells = record.get("cells") if isinstance(record, dict) else record
    return cells if isinstance(cells, list) else None


def _entry(record: Any, number: int, path: Path) -> Any:
    cells = _cells(record)
    if cells is None:
        raise UserError(f"{path} holds no list of cells; leave out :{number}")
    if number >= len(cells):
        raise UserError(f"{path} has {len(cells)} cells, numbered from 0; there is no {number}")
    cell = cells[number]
    # A front names its images once, for all its cells.
    if isinstance(record, dict) and isinstance(cell, dict):
        return {**{key: record[key] for key in ("dataset", "side", "val") if key in record}, **cell}
    return cell


def _cells_of_json(path: Path, text: str) -> list[str]:
    """The cells in genotype.json, in a list of such objects, or in a front's `cells`."""
    try:
        value = json.loads(text)
        items = _cells(value) or [value]
        return [
            str(i) if isinstance(i, str | int) else str(i.get("arch") or i["code"]) for i in items
        ]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is JSON without cells; it must hold indices, codes, or objects with 'arch' or "
            "'code'"
        ) from error
