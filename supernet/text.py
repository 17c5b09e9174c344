"""Text that command lines read and print: aligned tables, amounts such as 0.8M."""

import re
from collections.abc import Sequence

from supernet.errors import UserError

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}


def printable(text: str, *, besides: str = "") -> str:
    """A text from a file as a terminal may get it: control characters become escapes, \\x1b, but
    for those in `besides`."""
    return "".join(
        c if c.isprintable() or c in besides else c.encode("unicode_escape").decode() for c in text
    )


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Rows of text in columns as wide as they need: the first `left` flush left, others right."""
    lines = [[printable(text) for text in line] for line in (header, *rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def coefficient(value: float | None) -> str:
    """A correlation with two decimals, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.2f}"


def amount(text: str) -> float:
    """Read '0.8M', '300k', '1.2G' or '1500000'.

    Raises: UserError for anything else, or nothing above zero.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([kKmMgG]?)\s*", text)
    if match is None or float(match[1]) <= 0:
        raise UserError(f"'{text}' is not an amount above zero; write for instance 0.8M or 300k")
    return float(match[1]) * _UNITS[match[2].upper()]


def short(value: float) -> str:
    """1531546 -> '1.532M'."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3f}{unit}"
    return f"{value:g}"


def file_name(text: str) -> str:
    """A text from a file as a part of a file's name: `a/../b` -> `a-..-b`, never another folder."""
    return re.sub(r"[^A-Za-z0-9._+=-]", "-", text)[:100]
