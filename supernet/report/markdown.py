"""Markdown pieces: tables and numbers, written the same way everywhere."""

from collections.abc import Sequence

from supernet.report.figures.landscape import COLUMN_NAMES, DATASET_NAMES

GUIDE_NAMES = {
    "alpha": "alpha",
    "gains": "gains",
    "inner_gains": "gains without the last cell",
}
"""What the strongest operators are read from -> words."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """A pipe table. `align` has one letter per column, l or r; the default is l, then r.

    A pipe inside a cell would end it: architecture strings are full of them, so they are escaped.
    """
    letters = align or "l" + "r" * (len(header) - 1)
    rule = ["---:" if letter == "r" else "---" for letter in letters]
    lines = [header, rule, *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.4779 -> `47.79 %`; a dash for what is not known."""
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def points(fraction: float) -> str:
    """A difference of accuracies in percentage points."""
    return f"{100 * fraction:.2f}"


def pixels(eps: float) -> str:
    """8/255 for 0.03137: radii are named as papers name them."""
    level = eps * 255
    return f"{level:.0f}/255" if abs(level - round(level)) < 1e-6 else f"{eps:.4g}"


def duration(seconds: float) -> str:
    """95 -> `1 min 35 s`."""
    if 0 < seconds < 1:
        return "< 1 s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def column_name(column: str) -> str:
    """pgd_8 -> PGD-20 8/255."""
    return COLUMN_NAMES.get(column, column)


def dataset_name(dataset: str) -> str:
    """cifar10 -> CIFAR-10."""
    return DATASET_NAMES.get(dataset, dataset)
