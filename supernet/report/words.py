"""Names and numbers in words, the same in the terminal, in reports and in figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from supernet.benchmark.formats import NUM_UNIQUE

COLUMN_TITLES = {
    "clean": "clean",
    "fgsm_3": "FGSM 3/255",
    "pgd_3": "PGD-20 3/255",
    "fgsm_8": "FGSM 8/255",
    "pgd_8": "PGD-20 8/255",
    "autoattack": "AutoAttack 8/255",
    "params": "params",
    "flops": "FLOPs",
}
ATTACK_TITLES = {"fgsm": "FGSM", "pgd": "PGD-20"}
DATASET_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16-120": "ImageNet16-120",
}
GUIDE_NAMES = {
    "alpha": "alpha",
    "gains": "gains",
    "inner_gains": "gains without the last cell",
    "refined": "short trainings",
    "proposed": "scores without a training",
}
"""What a cell is read from -> words."""
WHOLE = ("refined", "proposed")
"""Those that give a cell as a whole, and not the strongest operator of each edge."""
START_NAMES = {
    "supernet": "by the supernet",
    "free": "by scores that need no training",
    "prior": "by prior and free scores together",
    "random": "at random",
}
"""Where the cells come from that a refinement starts from -> words."""
PROPOSAL_NAMES = {
    "gains": "supernet alone",
    "free": "free scores alone",
    "prior": "prior alone",
    "both": "prior and free scores",
}
"""What proposes a cell -> words."""

BASELINE_NAMES = {"all_3x3": "all 3x3", "all_skip": "all skip"}


def column_name(column: str) -> str:
    """pgd_8 -> PGD-20 8/255, pgd_32 -> PGD-20 32/255; another name stays as it is."""
    attack, _, radius = column.rpartition("_")
    if column not in COLUMN_TITLES and attack in ATTACK_TITLES:
        return f"{ATTACK_TITLES[attack]} {radius}/255"
    return COLUMN_TITLES.get(column, column)


def dataset_name(dataset: str) -> str:
    """cifar10 -> CIFAR-10; a data set that the benchmark does not know stays as it is."""
    return DATASET_TITLES.get(dataset, dataset)


def dataset_names(datasets: Sequence[str]) -> str:
    """CIFAR-10, CIFAR-100 and ImageNet16-120."""
    *most, last = map(dataset_name, datasets)
    return f"{', '.join(most)} and {last}" if most else last


def baseline_name(row: Mapping[str, Any]) -> str:
    """A row of `benchmark.rows.baseline_rows`: `all 3x3`, `best of 50 random cells (expected)`.

    It does not say what the cells are judged by: that stands in the heading above the rows.
    """
    n = row.get("n")
    if n is None:
        return BASELINE_NAMES[row["key"]]
    return "one random cell (expected)" if n == 1 else f"best of {n} random cells (expected)"


def standing(rank: int, cells: int = NUM_UNIQUE) -> str:
    """4965 -> `rank 4,965 of 6,466, better than 23 % of cells`."""
    return f"rank {rank:,} of {cells:,}, better than {better_than(rank, cells)} of cells"


def better_than(rank: int, cells: int = NUM_UNIQUE) -> str:
    """4965 -> `23 %`, 34 -> `99.4 %`: the share of cells behind a rank, rounded down.

    Cells of equal value share a rank and count as behind it.
    """
    share = 100 * (cells - rank) / cells
    return f"{math.floor(share)} %" if share < 99 else f"{math.floor(10 * share) / 10:.1f} %"


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.4779 -> `47.79 %`; a dash for what is not known."""
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def points(fraction: float) -> str:
    """0.4779 -> `47.79`: a difference in percentage points, or a number below a `%` heading."""
    return f"{100 * fraction:.2f}"


def pixels(eps: float) -> str:
    """0.03137 -> `8/255`: radii are named as papers name them, also 2.5/255."""
    level = round(eps * 255, 3)
    return f"{level:g}/255" if abs(level - eps * 255) < 1e-6 else f"{eps:.4g}"


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
