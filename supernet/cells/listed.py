"""Cells named in a file."""

import json
from pathlib import Path

from supernet.errors import UserError


def read_cells(path: Path) -> list[str]:
    """Cells from a file: one a line (# starts a comment), or JSON objects with `arch` or `code`.

    Raises: UserError when the file cannot be read or names no cell.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read cells from {path}: {error}") from error
    if text.lstrip()[:1] in ("{", "["):
        return _cells_of_json(path, text)
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    cells = [line for line in lines if line]
    if not cells:
        raise UserError(f"{path} names no cell; write one string, code or index a line")
    return cells


def _cells_of_json(path: Path, text: str) -> list[str]:
    """The cells in genotype.json, in a list of such objects, or in a front's `cells`."""
    try:
        value = json.loads(text)
        items = value.get("cells", [value]) if isinstance(value, dict) else value
        return [i if isinstance(i, str) else str(i.get("arch") or i["code"]) for i in items]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is JSON without cells that have 'arch' or 'code'") from error
