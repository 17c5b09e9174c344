"""Markdown pieces, written the same way everywhere."""

import re
from collections.abc import Sequence

from supernet.text import printable


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """A pipe table. `align` has one letter per column, l or r; the default is l, then r.

    A pipe or a new line inside a cell would end it; architecture strings are full of pipes, so they
    are escaped. Texts from files go through `plain` before they come here.
    """
    letters = align or "l" + "r" * (len(header) - 1)
    rule = ["---:" if letter == "r" else "---" for letter in letters]
    lines = [header, rule, *[[_in_a_cell(cell) for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(text: object) -> str:
    """A text from a file as it is, in Markdown and in HTML: in one line, without any markup."""
    words = " ".join(str(text).split())
    shown = "".join(letter for letter in words if letter.isprintable())
    return re.sub(r"[\\`*\[\]<>&|~]|(?<!\w)_|_(?!\w)", _as_it_is, shown)


def code(text: object) -> str:
    """A text from a file as code inside a line, whatever backticks it holds."""
    words = printable(" ".join(str(text).split()))
    fence = "`" * (_longest_run(words) + 1)
    space = " " if words.startswith("`") or words.endswith("`") or not words else ""
    return f"{fence}{space}{words}{space}{fence}"


def code_block(text: str, language: str = "") -> str:
    """A text from a file as a block of code, which ends where the text does."""
    text = printable(text, besides="\n\t")
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _as_it_is(letter: re.Match[str]) -> str:
    """HTML's own characters as entities, Markdown's behind a backslash."""
    entities = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    return entities.get(letter[0], "\\" + letter[0])


def _in_a_cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
