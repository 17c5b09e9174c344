"""docs/results/search.md: evidence.json as a table and sentences. No torch."""

import os
import posixpath
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import atomic_write, read_json
from supernet.report.markdown import table
from supernet.report.words import (
    GUIDE_NAMES,
    column_name,
    dataset_name,
    duration,
    percent,
    points,
)
from supernet.studies.evidence.plan import HALF, TOP

NOTES = "notes.md"
ANSWERS = {
    **{
        "argmax" if by == "alpha" else by: f"argmax of {words}" for by, words in GUIDE_NAMES.items()
    },
    "chosen": "chosen by score",
}
"""Key of a run's record -> words."""
HEADER = ("row", "seeds", "clean", "PGD-20 8/255", "AutoAttack", "rank", "best 1 %", "worse half",
          "regret", "params", "wall-clock", "machine")  # fmt: skip
VERDICT_RANDOM = 50

Record = dict[str, Any]


def write_page(out: Path, page: Path) -> Path:
    """Write the page from OUT/evidence.json and, where it is, OUT/notes.md, verbatim.

    Raises: UserError without evidence.json.
    """
    if not (out / "evidence.json").is_file():
        raise UserError(f"there is no {out / 'evidence.json'}; call without --page-only first")
    notes = out / NOTES
    text = page_text(
        read_json(out / "evidence.json"),
        notes=notes.read_text(encoding="utf-8") if notes.is_file() else None,
        source=os.path.relpath(out / "evidence.json", page.parent),
    )
    with atomic_write(page) as stream:
        stream.write(text)
    return page


def page_text(evidence: Record, *, notes: str | None, source: str) -> str:
    """The page. Every sentence is made of the numbers in evidence.json; notes are the author's."""
    dataset, column = evidence["judge"]
    plan = {row["name"]: row for row in evidence["plan"]}
    runs = {name: [r for r in evidence["runs"] if r["row"] == name] for name in plan}
    machines = list(dict.fromkeys(r["machine"] for r in evidence["runs"]))
    letters = {machine: _letter(n) for n, machine in enumerate(machines)}
    blocks = [
        "# Searches, several seeds",
        f"Written by `python scripts/evidence.py` from [evidence.json]({source}). Every search is "
        f"`python scripts/search.py {evidence['base']}` with the row's own flags after it and "
        "`--seed`, a seed after the other. Cells are looked up in NAS-RobBench-201, which trained "
        f"them alone, adversarially: test accuracy on {dataset_name(dataset)}, in %. Rank (of "
        f"6,466) and regret (points below the best cell) are by {column_name(column)}. Rows of "
        "several seeds show the median and, in brackets, the least and the greatest value; "
        f"*best 1 %* and *worse half* count seeds of rank {TOP} or better and beyond {HALF:,}."
        + _answer(evidence.get("answer")),
        table(HEADER, [
            *_searched_lines(runs, letters), *_free_lines(evidence["without_search"]),
            *_free_lines(evidence["picks"]),
        ], "llrrrrrrrrrl"),
        _legend(letters),
        _missing(plan, runs),
        *_together(evidence.get("together") or []),
        *_fronts(evidence, os.path.dirname(source)),
        "## What the numbers say",
        "\n".join(f"- {sentence}" for sentence in _sentences(evidence, plan, runs)),
        "## The rows",
        "\n".join(_row_line(row) for row in plan.values()),
        *_all_runs(evidence["runs"]),
        *([] if notes is None else [notes.strip("\n")]),
    ]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def _answer(by: str | None) -> str:
    if by is None:
        return ""
    words = ANSWERS["argmax" if by == "alpha" else by]
    return f" The preset's own answer is the {words}; the others stand beside it for comparison."


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number)


def _legend(letters: dict[str, str]) -> str:
    words = "; ".join(f"{letter}: {machine}" for machine, letter in letters.items())
    return f"Machines: {words}. Wall-clock is of the search alone." if letters else ""


def _answers(records: Sequence[Record]) -> list[str]:
    """What every run of a row has: the argmax of alpha, that of gains, the best-scored cell."""
    found = ["argmax"]
    found += [by for by in ("gains", "inner_gains") if all(r.get(by) for r in records)]
    if all(r["chosen_by"] == "score" for r in records):
        found.append("chosen")
    return found


def _searched_lines(runs: dict[str, list[Record]], letters: dict[str, str]) -> list[list[str]]:
    lines = []
    for name, records in runs.items():
        if not records:
            continue
        for answer in _answers(records):
            cells = [record[answer] for record in records]
            lines.append([
                f"`{name}`, {ANSWERS[answer]}", str(len(records)), *_numbers(cells),
                _spread([record["seconds"] for record in records], duration),
                ", ".join(sorted({letters[record["machine"]] for record in records})),
            ])  # fmt: skip
    return lines


def _free_lines(rows: Sequence[Record]) -> list[list[str]]:
    return [[_named(row), "", *_numbers([row]), "", ""] for row in rows]


def _named(row: Record) -> str:
    code = f" (`{row['code']}`)" if row.get("code") else ""
    ties = f", first of {row['ties']} alike" if row.get("ties", 1) > 1 else ""
    return f"{row['name']}{code}{ties}"


def _numbers(cells: Sequence[Record]) -> list[str]:
    """Clean, PGD-20, AutoAttack, rank, how many ranks are among the best and the worse, regret,
    params."""

    def column(name: str, words: Callable[[float], str]) -> str:
        return _spread([cell[name] for cell in cells], words)

    ranks = [cell["rank"] for cell in cells]
    return [
        column("clean", points), column("pgd_8", points), column("autoattack", points),
        column("rank", _count),
        str(sum(rank <= TOP for rank in ranks)), str(sum(rank > HALF for rank in ranks)),
        column("regret", points), column("params", lambda value: f"{value / 1e6:.2f} M"),
    ]  # fmt: skip


def _spread(values: Sequence[float], words: Callable[[float], str]) -> str:
    """`median (least..greatest)`, one value alone."""
    middle = words(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({words(min(values))}..{words(max(values))})"


def _distance(value: float) -> str:
    return f"{value:.3f}"


def _count(value: float) -> str:
    """A rank, or the median of an even number of ranks."""
    return f"{value:,.1f}".removesuffix(".0")


def _missing(plan: dict[str, Record], runs: dict[str, list[Record]]) -> str:
    parts = []
    for name, row in plan.items():
        absent = sorted(set(range(row["seeds"])) - {r["seed"] for r in runs[name]})
        if absent:
            word = "seed" if len(absent) == 1 else "seeds"
            parts.append(f"`{name}` {word} {', '.join(map(str, absent))}")
    return f"**Not run yet:** {'; '.join(parts)}." if parts else ""


def _together(groups: Sequence[Record]) -> list[str]:
    """What several seeds of `main` say as one, a line per way to read gains and size of a group."""
    if not groups:
        return []
    lines = [
        [
            ANSWERS[g["by"]], str(g["seeds"]), str(g["groups"]), _count(g["median_rank"]),
            _count(g["worst_rank"]), f"{100 * g['in_top'] / g['groups']:.0f} %",
            points(g["median_pgd_8"]), points(g["worst_pgd_8"]),
        ]
        for g in groups
    ]  # fmt: skip
    header = ("read from", "seeds", "groups", "median rank", "worst rank", "in the best 1 %",
              "median PGD-20 8/255", "worst")  # fmt: skip
    return [
        "## Several seeds, one cell",
        "`--seeds 0,1,2` reads one cell from the mean of the seeds' gains, each divided by its "
        "root mean square. Every group of so many seeds of `main`; groups share seeds, so that "
        "they say less than their number.",
        table(header, lines, "lrrrrrrr"),
    ]


def _fronts(evidence: Record, folder: str) -> list[str]:
    """What the fronts of searches reach of the true one, a line per way to find them; `folder` is
    where the evidence is, seen from the page."""
    ways: dict[tuple[str, str], list[Record]] = {}
    for record in evidence["runs"]:
        for name, numbers in (record.get("fronts") or {}).items():
            ways.setdefault((record["row"], name), []).append(numbers)
    if not ways:
        return []
    budgets = list(next(iter(ways.values()))[0]["regret"])
    lines = [
        [
            f"`{row}`, {name}",
            str(len(found)),
            _spread([f["cells"] for f in found], _count),
            _spread([f["hypervolume_ratio"] for f in found], points),
            _spread([f["generational_distance"] for f in found], _distance),
            _spread([f["inverted_generational_distance"] for f in found], _distance),
            *[_regrets([f["regret"][budget] for f in found]) for budget in budgets],
        ]
        for (row, name), found in ways.items()
    ]
    lines += [
        [
            f["name"],
            "",
            _count(f["cells"]),
            _spread(f["hypervolume_ratio"], points),
            *[""] * (2 + len(budgets)),
        ]
        for f in evidence.get("random_fronts", [])
    ]
    proposed = (
        "; of the cells it proposes a line of its own has all, before a score has chosen among them"
        if any(name == "proposed" for _, name in ways)
        else ""
    )
    header = ["front", "seeds", "cells", "hypervolume", "GD", "IGD"]
    header += [f"to {float(budget) / 1e6:g} M" for budget in budgets]
    return [
        "## Fronts",
        "By the table's values of the cells, over (parameters, clean, PGD-20 8/255). Hypervolume "
        "in % of the true front's; GD and IGD, the mean distance from the cells to the true front "
        "and back, in units of its range; then regret (points of PGD-20 8/255) within so many "
        f"parameters. `found` starts from the cells that alpha proposes{proposed}; `nsga2 from "
        "random cells` and `random` scored as many cells with the same weights. The wall-clock of "
        "a run with `--front-baseline` is that of the search and of all three. The rows of random "
        "cells need no search: median, and the 2.5th and 97.5th percentile of many draws without "
        "`none`, from the table.",
        table(header, lines, "lrrrrr" + "r" * len(budgets)),
        *_corners(evidence["runs"]),
        *[
            f"![The front of {r['row']}, seed 0]"
            f"({posixpath.join(folder, 'fronts', r['row'])}-seed0.png)"
            for r in evidence["runs"]
            if r.get("front_codes") and r["seed"] == 0
        ],
    ]


def _corners(records: Sequence[Record]) -> list[str]:
    """Whether alpha's cell for robustness alone is more robust than the one for size alone."""
    rows: dict[str, list[Record]] = {}
    for record in records:
        if len(record.get("corners") or {}) == 2:
            rows.setdefault(record["row"], []).append(record["corners"])
    lines = []
    for row, found in rows.items():
        robust, small = ([c[name]["robust_loss"] for c in found] for name in ("robust", "size"))
        less = sum(r <= s for r, s in zip(robust, small, strict=True))
        lines.append(
            f"`{row}`: the cell that alpha has for robustness alone has a supernet loss under "
            f"attack of {statistics.fmean(robust):.3f} nats in the mean of {len(found)} seeds, the "
            f"one for size alone {statistics.fmean(small):.3f}; it is as low or lower in {less}."
        )
    return lines


def _regrets(values: Sequence[float | None]) -> str:
    """A dash where no cell was small enough, of some seed."""
    known = [value for value in values if value is not None]
    return _spread(known, points) if len(known) == len(values) else "-"


def _sentences(
    evidence: Record, plan: dict[str, Record], runs: dict[str, list[Record]]
) -> list[str]:
    found = []
    for name in plan:
        records = runs[name]
        if not records:
            continue
        if name == "main":
            answers = _answers(records)
            found += [_verdict(name, answer, records, evidence) for answer in answers]
            found += [_against_argmax(name, a, records) for a in answers if a != "argmax"]
        else:
            found += _beside_main(name, records, runs.get("main", []))
    return found or ["No search has been run yet."]


def _verdict(name: str, answer: str, records: Sequence[Record], evidence: Record) -> str:
    cells = [record[answer] for record in records]
    ranks, value = [c["rank"] for c in cells], statistics.median(c["pgd_8"] for c in cells)
    if len(cells) == 1:
        place = f"rank {_count(ranks[0])} of 6,466 (one seed); its"
    else:
        place = (
            f"median rank {_count(statistics.median(ranks))} of 6,466 over {len(cells)} seeds, "
            f"best {_count(min(ranks))}, worst {_count(max(ranks))}; its median"
        )
    rows = evidence["without_search"]
    rivals = [row for row in rows if row["code"] == "333333" or row["n"] == VERDICT_RANDOM]
    against = " and ".join(
        f"{_compared(value, row['pgd_8'])} {row['name']} ({percent(row['pgd_8'])})"
        for row in rivals
    )
    return f"`{name}`, {ANSWERS[answer]}: {place} {percent(value)} under PGD-20 8/255 is {against}."


def _compared(value: float, other: float) -> str:
    return "above" if value > other else "below" if value < other else "equal to"


def _against_argmax(name: str, answer: str, records: Sequence[Record]) -> str:
    gains = [r[answer]["pgd_8"] - r["argmax"]["pgd_8"] for r in records]
    better, worse = sum(g > 0 for g in gains), sum(g < 0 for g in gains)
    return (
        f"`{name}`: against the argmax of alpha in the same run, {ANSWERS[answer]} is better in "
        f"{better} of {len(gains)} runs, worse in {worse}, as good in {len(gains) - better - worse}"
        f"; median difference {100 * statistics.median(gains):+.2f} points."
    )


def _beside_main(name: str, records: Sequence[Record], main: Sequence[Record]) -> list[str]:
    """The median of the differences on the seeds that both rows have."""
    other = {record["seed"]: record for record in main}
    shared = [record for record in records if record["seed"] in other]
    if not shared:
        return []
    parts = []
    both = set(_answers(shared)) & set(_answers([other[record["seed"]] for record in shared]))
    for answer in (answer for answer in ANSWERS if answer in both):
        gains = [r[answer]["pgd_8"] - other[r["seed"]][answer]["pgd_8"] for r in shared]
        parts.append(f"{ANSWERS[answer]} {100 * statistics.median(gains):+.2f} points")
    seeds = ", ".join(str(record["seed"]) for record in shared)
    return [
        f"`{name}` beside `main`, median difference on seed{'s' * (len(shared) > 1)} {seeds}: "
        f"{'; '.join(parts)}."
    ]


def _row_line(row: Record) -> str:
    flags = f": `{row['flags']}`" if row["flags"] else ""
    return f"- `{row['name']}`, {row['words']}{flags}"


def _all_runs(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    lines = [
        [
            f"`{r['row']}`", str(r["seed"]), f"`{r['chosen']['code']}`",
            _count(r["chosen"]["rank"]), f"`{r['argmax']['code']}`", _count(r["argmax"]["rank"]),
            *_code_and_rank(r.get("gains")), *_code_and_rank(r.get("inner_gains")),
            duration(r["seconds"]), f"`{r['config_hash']}`",
            f"`{r['commit'] or '-'}`",
        ]
        for r in records
    ]  # fmt: skip
    header = ("row", "seed", "by score", "rank", "by alpha", "rank", "by gains", "rank",
              "without the last cell", "rank", "wall-clock", "config", "commit")  # fmt: skip
    facts = "; ".join(dict.fromkeys(f"torch {r['torch']}, {r['impl']} cells" for r in records))
    images = "; ".join(dict.fromkeys(r["images"] for r in records))
    return ["## All runs", table(header, lines, "lrlrlrlrlrrll"), f"Images: {images}. {facts}."]


def _code_and_rank(cell: Record | None) -> tuple[str, str]:
    return ("", "") if cell is None else (f"`{cell['code']}`", _count(cell["rank"]))
