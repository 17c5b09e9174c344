"""Markdown pieces, written the same way everywhere."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """A pipe table. `align` has one letter per column, l or r; the default is l, then r.

    A pipe inside a cell would end it: architecture strings are full of them, so they are escaped.
    """
    letters = align or "l" + "r" * (len(header) - 1)
    rule = ["---:" if letter == "r" else "---" for letter in letters]
    lines = [header, rule, *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
