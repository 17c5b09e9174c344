"""docs/results/search.md: evidence.json as tables and sentences. No torch."""

import os
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.report.markdown import table
from supernet.report.words import column_name, dataset_name, duration, points
from supernet.studies.evidence import fronts
from supernet.studies.evidence.plan import HALF, TOP
from supernet.studies.evidence.records import EVIDENCE, read_evidence
from supernet.studies.evidence.sentences import ANSWERS, count, sentences, spread

NOTES = "notes.md"
HEADER = ("row", "seeds", "clean", "PGD-20 8/255", "AutoAttack", "rank", "best 1 %", "worse half",
          "regret", "params", "wall-clock", "machine")  # fmt: skip

Record = dict[str, Any]


def write_page(out: Path, page: Path) -> Path:
    """Write the page from OUT/evidence.json and, where it is, OUT/notes.md, verbatim.

    Raises: UserError without evidence.json, or when it is of another format.
    """
    if not (out / EVIDENCE).is_file():
        raise UserError(f"there is no {out / EVIDENCE}; call without --page-only first")
    notes = out / NOTES
    text = page_text(
        read_evidence(out / EVIDENCE),
        notes=notes.read_text(encoding="utf-8") if notes.is_file() else None,
        source=os.path.relpath(out / EVIDENCE, page.parent),
    )
    with atomic_write(page) as stream:
        stream.write(text)
    return page


def page_text(evidence: Record, *, notes: str | None, source: str) -> str:
    """The page. Its sentences are made of the numbers in evidence.json; notes are the author's.

    `source` is where evidence.json is, seen from the page.
    """
    plan = {row["name"]: row for row in evidence["plan"]}
    runs = {name: [r for r in evidence["runs"] if r["row"] == name] for name in plan}
    machines = list(dict.fromkeys(r["machine"] for r in evidence["runs"]))
    letters = {machine: _letter(n) for n, machine in enumerate(machines)}
    blocks = [
        "# Searches, several seeds",
        "\n".join(_introduction(evidence, source)),
        table(HEADER, [
            *_searched_lines(runs, letters), *_free_lines(evidence["without_search"]),
            *_free_lines(evidence["picks"]),
        ], "llrrrrrrrrrl"),
        _legend(letters),
        _missing(plan, runs),
        *_together(evidence["together"]),
        *fronts.section(evidence, runs, posixpath.dirname(source)),
        "## What the numbers say",
        "\n".join(f"- {sentence}" for sentence in sentences(evidence, runs)),
        "## The rows",
        "\n".join(_row_line(row) for row in plan.values()),
        *_all_runs(evidence["runs"]),
        *([] if notes is None else [notes.strip("\n")]),
    ]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def _introduction(evidence: Record, source: str) -> list[str]:
    dataset, column = evidence["judge"]
    return [
        f"`python scripts/evidence.py` writes this page from [evidence.json]({source}).",
        f"Every search is `python scripts/search.py {evidence['base']}`, with the row's own flags "
        "and `--seed` behind it.",
        "Cells are looked up in NAS-RobBench-201, which trained each of them alone, adversarially: "
        f"accuracies are test accuracies on {dataset_name(dataset)} in %.",
        f"Rank (of 6,466) and regret (points below the best cell) are by {column_name(column)}.",
        "A row of several seeds shows the median and, in brackets, the least and the greatest "
        f"value; *best 1 %* counts the seeds of rank {TOP} or better, *worse half* those beyond "
        f"rank {HALF:,}.",
        f"The preset itself answers with the cell {ANSWERS[evidence['answer']]}; the cells by the "
        "other guides of the same runs are shown for comparison.",
        *([evidence["note"]] if evidence.get("note") else []),
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number)


def _legend(letters: dict[str, str]) -> str:
    words = "; ".join(f"{letter}: {machine}" for machine, letter in letters.items())
    return f"Machines: {words}. Wall-clock is of the search alone." if letters else ""


def _searched_lines(runs: dict[str, list[Record]], letters: dict[str, str]) -> list[list[str]]:
    return [
        [
            f"`{name}` {words}", str(len(records)),
            *_numbers([record["cells"][guide] for record in records]),
            spread([record["seconds"] for record in records], duration),
            ", ".join(sorted({letters[record["machine"]] for record in records})),
        ]
        for name, records in runs.items() if records
        for guide, words in ANSWERS.items()
    ]  # fmt: skip


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
        return spread([cell[name] for cell in cells], words)

    ranks = [cell["rank"] for cell in cells]
    return [
        column("clean", points), column("pgd_8", points), column("autoattack", points),
        column("rank", count),
        str(sum(rank <= TOP for rank in ranks)), str(sum(rank > HALF for rank in ranks)),
        column("regret", points), column("params", lambda value: f"{value / 1e6:.2f} M"),
    ]  # fmt: skip


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
            ANSWERS[g["by"]], str(g["seeds"]), str(g["groups"]), count(g["median_rank"]),
            count(g["worst_rank"]), f"{100 * g['in_top'] / g['groups']:.0f} %",
            points(g["median_pgd_8"]), points(g["worst_pgd_8"]),
        ]
        for g in groups
    ]  # fmt: skip
    header = ("the cell", "seeds", "groups", "median rank", "worst rank", "in the best 1 %",
              "median PGD-20 8/255", "worst")  # fmt: skip
    return [
        "## Several seeds, one cell",
        "`--seeds 0,1,2` reads one cell from the mean of the seeds' gains, each divided by its "
        "root mean square.\nThe table has every group of so many seeds of `main`; groups share "
        "seeds, and therefore say less than their number.",
        table(header, lines, "lrrrrrrr"),
    ]


def _row_line(row: Record) -> str:
    flags = f": `{row['flags']}`" if row["flags"] else ""
    return f"- `{row['name']}`, {row['words']}{flags}"


def _all_runs(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    lines = [
        [
            f"`{r['row']}`", str(r["seed"]),
            *[text for guide in ANSWERS for text in _code_and_rank(r["cells"][guide])],
            duration(r["seconds"]), f"`{r['config_hash']}`", f"`{r['commit'] or '-'}`",
        ]
        for r in records
    ]  # fmt: skip
    guides = [text for words in ANSWERS.values() for text in (words, "rank")]
    header = ("row", "seed", *guides, "wall-clock", "config", "commit")
    facts = "; ".join(dict.fromkeys(f"torch {r['torch']}, {r['impl']} cells" for r in records))
    images = "; ".join(dict.fromkeys(r["images"] for r in records))
    return [
        "## All runs",
        table(header, lines, "lr" + "lr" * len(ANSWERS) + "rll"),
        f"Images: {images}. {facts}.",
    ]


def _code_and_rank(cell: Record) -> tuple[str, str]:
    return f"`{cell['code']}`", count(cell["rank"])
