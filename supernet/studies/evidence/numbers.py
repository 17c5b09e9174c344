"""How numbers of several seeds are written: medians, ranges, paired differences. No torch."""

import statistics
from collections.abc import Callable, Sequence


def count(value: float) -> str:
    """A rank, or the median of an even number of ranks: `1,717`, `600.5`."""
    return f"{value:,.1f}".removesuffix(".0")


def minutes(seconds: float) -> str:
    """95 -> `1.6`; whole minutes from ten on."""
    found = seconds / 60
    return f"{found:.1f}" if 0 < found < 9.95 else f"{found:,.0f}"


def millions(value: float) -> str:
    """1531546 -> `1.53 M`."""
    return f"{value / 1e6:.2f} M"


def spread(values: Sequence[float], words: Callable[[float], str]) -> str:
    """`median (least..greatest)`; one value alone, and alike ones as one."""
    middle, low, high = (words(f(values)) for f in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low}..{high})"


def paired(differences: Sequence[float]) -> str:
    """Differences of fractions: `better in 3 of 5, worse in 1, as good in 1; median difference
    +0.31 points`. One difference alone is `+0.31 points`."""
    middle = f"{100 * statistics.median(differences):+.2f} points"
    if len(differences) == 1:
        return middle
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    equal = len(differences) - better - worse
    return (
        f"better in {better} of {len(differences)}, worse in {worse}, as good in {equal}; "
        f"median difference {middle}"
    )
