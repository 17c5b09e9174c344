"""What the numbers of evidence.json say of a data set, in sentences. No torch."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from supernet.report.words import points
from supernet.studies.evidence.judge import RANDOM
from supernet.studies.evidence.numbers import count, minutes, paired
from supernet.studies.evidence.plan import JUDGE, shown
from supernet.studies.evidence.records import answer
from supernet.studies.evidence.searches import name_of
from supernet.studies.evidence.selection import Line, Record, lines_of, records_of

MAIN = "main"
RIVALS = ("all_3x3", f"best_of_{RANDOM}", "prior")
"""Rows without a search that `main` is compared with."""


def sentences(evidence: Mapping[str, Any], dataset: str) -> list[str]:
    """A sentence for each comparison that the runs allow."""
    lines = [line for line in lines_of(evidence, dataset) if line.row == MAIN]
    if not lines:
        return [f"No search of `{MAIN}` has been run yet: there is nothing to compare with."]
    rivals = {row["key"]: row for row in evidence["without_search"][dataset]}
    found = [_verdict(line, [rivals[key] for key in RIVALS]) for line in lines]
    found += [_refinement(line) for line in lines if line.guide == "answer"]
    main = records_of(evidence, dataset, MAIN)
    found.append(_cost(main))
    found += [
        _next_to_main(row["name"], records_of(evidence, dataset, row["name"]), main)
        for row in evidence["plan"]
        if row["name"] != MAIN and not row["budgets"]
    ]
    return [text for text in found if text]


def _verdict(line: Line, rivals: Sequence[Record]) -> str:
    """A line of `main`: where it ends, and how often above each rival."""
    cells, seeds = line.cells, len(line.records)
    ranks = [cell["ranks"][JUDGE] for cell in cells]
    regret = points(statistics.median(cell["regret"] for cell in cells))
    if seeds == 1:
        place = f"rank {count(ranks[0])} of 6,466 (one seed), regret {regret} points"
    else:
        place = (
            f"median rank {count(statistics.median(ranks))} of 6,466 over {seeds} seeds, best "
            f"{count(min(ranks))}, worst {count(max(ranks))}; median regret {regret} points"
        )
    against = "; ".join(
        f"better than {rival['name']} ({points(rival[JUDGE])} %) in "
        f"{sum(cell[JUDGE] > rival[JUDGE] for cell in cells)} of {seeds}"
        for rival in rivals
    )
    return f"{name_of(line)}: {place}; {against}."


def _refinement(line: Line) -> str:
    """What the rest of the search adds to the cell by gains, run by run."""
    differences = [answer(r)[JUDGE] - answer(r, "gains")[JUDGE] for r in line.records]
    return f"{name_of(line)}, next to the cell by its supernet's gains: {paired(differences)}."


def _cost(main: Sequence[Record]) -> str:
    trainings = statistics.median(record["trainings"] for record in main)
    supernet, refine = (
        minutes(statistics.median(record["cpu_seconds"][name] for record in main))
        for name in ("supernet", "refine")
    )
    return (
        f"`{MAIN}` costs {supernet} CPU minutes of supernet and {refine} of {count(trainings)} "
        "short trainings (medians)."
    )


def _next_to_main(name: str, records: Sequence[Record], main: Sequence[Record]) -> str:
    """The paired differences to `main` on the seeds that both have; for `free`, which has all but
    the supernet, they are what the supernet adds."""
    other = {record["seed"]: record for record in main}
    pairs = [(other[r["seed"]], r) for r in records if r["seed"] in other]
    if not pairs:
        return ""
    differences = [answer(first)[JUDGE] - answer(second)[JUDGE] for first, second in pairs]
    what = " (what the supernet adds)" if name == "free" else ""
    seeds = shown([record["seed"] for _, record in pairs])
    return f"`{MAIN}` next to `{name}` on {seeds}{what}: {paired(differences)}."
