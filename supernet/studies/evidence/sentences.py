"""What the numbers of evidence.json say, in sentences, and how numbers are written. No torch."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from supernet.report.words import GUIDE_NAMES, points

ANSWERS = {guide: f"by {words}" for guide, words in GUIDE_NAMES.items()}
"""What a search's cell is read from -> words, as on the page."""
VERDICT_RANDOM = 50
"""The random search that `main` is compared with draws so many cells."""

Record = dict[str, Any]


def sentences(evidence: Record, runs: dict[str, list[Record]]) -> list[str]:
    """A sentence for each comparison that the runs allow; `runs` has the records of each row."""
    main = runs.get("main", [])
    if not main:
        return ["No search of `main` has been run yet: there is nothing to compare with."]
    found = [_verdict("main", guide, main, evidence["without_search"]) for guide in ANSWERS]
    found += [_against_alpha("main", guide, main) for guide in ANSWERS if guide != "alpha"]
    found += _of_its_front("main", main, evidence["random_fronts"])
    for name, records in runs.items():
        if name != "main":
            found += _next_to_main(name, records, main)
    return found


def count(value: float) -> str:
    """A rank, or the median of an even number of ranks: `1,717`, `600.5`."""
    return f"{value:,.1f}".removesuffix(".0")


def spread(values: Sequence[float], words: Callable[[float], str]) -> str:
    """`median (least..greatest)`; one value alone."""
    middle = words(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({words(min(values))}..{words(max(values))})"


def _verdict(
    name: str, guide: str, records: Sequence[Record], without_search: Sequence[Record]
) -> str:
    """The row's cells by one guide, compared with the rivals that need no search."""
    cells = [record["cells"][guide] for record in records]
    ranks, value = [c["rank"] for c in cells], statistics.median(c["pgd_8"] for c in cells)
    if len(cells) == 1:
        place = f"rank {count(ranks[0])} of 6,466 (one seed); its"
    else:
        place = (
            f"median rank {count(statistics.median(ranks))} of 6,466 over {len(cells)} seeds, "
            f"best {count(min(ranks))}, worst {count(max(ranks))}; its median"
        )
    rivals = [r for r in without_search if r["code"] == "333333" or r["n"] == VERDICT_RANDOM]
    against = " and ".join(
        f"{_compared(value, rival['pgd_8'])} {rival['name']} ({points(rival['pgd_8'])} %)"
        for rival in rivals
    )
    return f"`{name}` {ANSWERS[guide]}: {place} {points(value)} % under PGD-20 8/255 is {against}."


def _compared(value: float, other: float) -> str:
    return "above" if value > other else "below" if value < other else "equal to"


def _against_alpha(name: str, guide: str, records: Sequence[Record]) -> str:
    """Two guides of the same runs."""
    cells = [record["cells"] for record in records]
    differences = [c[guide]["pgd_8"] - c["alpha"]["pgd_8"] for c in cells]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    equal = len(differences) - better - worse
    return (
        f"`{name}`: against the cell by alpha of the same run, the cell {ANSWERS[guide]} is better "
        f"in {better} of {len(differences)} runs, worse in {worse}, as good in {equal}; median "
        f"difference {100 * statistics.median(differences):+.2f} points."
    )


def _of_its_front(
    name: str, records: Sequence[Record], random_fronts: Sequence[Record]
) -> list[str]:
    """The row's hypervolume next to that of random cells; none where no search had a table."""
    known = [record["front"]["hypervolume_ratio"] for record in records if record["front"]]
    if not known:
        return []
    seeds = f"in the median of {len(known)} seeds" if len(known) > 1 else "in its one seed"
    others = "; ".join(
        f"{front['name']} {points(statistics.median(front['hypervolume_ratio']))} %"
        for front in random_fronts
    )
    return [
        f"`{name}`: its front has {points(statistics.median(known))} % of the true front's "
        f"hypervolume {seeds}. Without a search: {others}."
    ]


def _next_to_main(name: str, records: Sequence[Record], main: Sequence[Record]) -> list[str]:
    """The median of the differences on the seeds that both rows have."""
    other = {record["seed"]: record["cells"] for record in main}
    shared = [(record["cells"], other[s]) for record in records if (s := record["seed"]) in other]
    if not shared:
        return []
    parts = []
    for guide, words in ANSWERS.items():
        differences = [cells[guide]["pgd_8"] - of_main[guide]["pgd_8"] for cells, of_main in shared]
        parts.append(f"{words} {100 * statistics.median(differences):+.2f} points")
    seeds = ", ".join(str(record["seed"]) for record in records if record["seed"] in other)
    return [
        f"`{name}` next to `main`, median difference on seed{'s' * (len(shared) > 1)} {seeds}: "
        f"{'; '.join(parts)}."
    ]
