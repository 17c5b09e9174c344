"""docs/results/search.md: evidence.json as tables and sentences. No torch."""

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.report.markdown import table
from supernet.report.words import column_name
from supernet.shapes import unlike
from supernet.studies.evidence import budgets, fronts, trials
from supernet.studies.evidence.numbers import count, minutes
from supernet.studies.evidence.plan import HALF, JUDGE, TOP
from supernet.studies.evidence.records import EVIDENCE, answer, read_evidence
from supernet.studies.evidence.searches import searches
from supernet.studies.evidence.selection import Record, earlier, missing
from supernet.studies.evidence.sentences import sentences
from supernet.studies.evidence.summary import summary

NOTES, SUMMARY = "notes.md", "summary.md"


def write_page(out: Path, page: Path) -> Path:
    """Write the page from OUT/evidence.json and, where it is, OUT/notes.md, verbatim.

    OUT/summary.md has the table for a first page.
    Raises: UserError without evidence.json, when it is of another format, or when the page there is
            another one.
    """
    refuse_other_page(out, page)
    if not (out / EVIDENCE).is_file():
        raise UserError(f"there is no {out / EVIDENCE}; call without --page-only first")
    notes, evidence = out / NOTES, read_evidence(out / EVIDENCE)
    said = notes.read_text(encoding="utf-8", errors="replace") if notes.is_file() else None
    try:
        text = page_text(evidence, notes=said, source=os.path.relpath(out / EVIDENCE, page.parent))
        short = summary(evidence) + "\n"
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise unlike(out / EVIDENCE, reason) from error  # hundreds of values, all from here
    for path, content in ((page, text), (out / SUMMARY, short)):
        with atomic_write(path) as stream:
            stream.write(content)
    return page


def refuse_other_page(out: Path, page: Path) -> None:
    """Raises: UserError where the page is there and was not written from OUT/evidence.json."""
    if not page.exists():
        return
    written = page.read_text(encoding="utf-8", errors="replace")
    if f"({os.path.relpath(out / EVIDENCE, page.parent)})" not in written:
        raise UserError(
            f"{page} was not written from {out / EVIDENCE}; name another page with --page"
        )


def page_text(evidence: Mapping[str, Any], *, notes: str | None, source: str) -> str:
    """The page. Its sentences are made of the numbers in evidence.json; notes are the author's.

    `source` is where evidence.json is, seen from the page.
    """
    machines = list(dict.fromkeys(run["machine"] for run in evidence["runs"]))
    letters = {machine: _letter(number) for number, machine in enumerate(machines)}
    blocks = [
        "# Searches, several seeds",
        "\n".join(_introduction(evidence, source)),
        _missing(evidence),
        *[block for images in evidence["images"] for block in _images(evidence, images, letters)],
        _legend(letters),
        *trials.section(evidence),
        *budgets.section(evidence),
        *fronts.section(evidence, posixpath.dirname(source)),
        "## The rows",
        "\n".join(_row_line(row) for row in evidence["plan"]),
        *_all_runs(evidence["runs"]),
        *([] if notes is None else [notes.strip("\n")]),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _introduction(evidence: Mapping[str, Any], source: str) -> list[str]:
    return [
        f"`python scripts/evidence.py` writes this page from [evidence.json]({source}).",
        f"Every search is `python scripts/search.py {evidence['base']}`, with the flags of its "
        "images, its row and `--seed` behind it.",
        "Cells are looked up in NAS-RobBench-201, which trained each of them alone, adversarially: "
        "accuracies are test accuracies in % on the data set of the heading, whose results no "
        "search reads.",
        "The weights of the sum of free scores were chosen by the benchmark's tables of all three "
        "data sets, so that no seed is held out from them; the settings of supernet and short "
        "trainings were chosen on seeds 0 to 4, none of which is below, but for one: that gains "
        "have no weight next to free scores and prior was decided by searches of seeds 5 to 7.",
        f"Rank (of 6,466, by {column_name(evidence['judge'])} unless it says otherwise) and regret "
        "(points below the best cell) are on the same data set.",
        "A row of several seeds shows the median and, in brackets, the least and the greatest "
        f"value; *best 1 %* counts the seeds of rank {TOP} or better, *worse half* those beyond "
        f"rank {HALF:,}.",
        "Trainings and CPU minutes are what a search alone costs, its supernet and its short "
        "trainings together.",
        *([evidence["note"]] if evidence.get("note") else []),
    ]


def _missing(evidence: Mapping[str, Any]) -> str:
    heads = (
        ("Not run yet", missing(evidence)),
        ("Run with an earlier version, where these flags meant another config", earlier(evidence)),
    )
    return "\n".join(f"**{head}:** {'; '.join(parts)}." for head, parts in heads if parts)


def _images(evidence: Mapping[str, Any], images: Record, letters: Mapping[str, str]) -> list[str]:
    """The section on a data set."""
    flags = f"`--dataset {images['name']}{' ' * bool(images['flags'])}{images['flags']}`"
    return [
        f"## {images['words']}",
        f"Searches take {flags}.",
        searches(evidence, images, letters),
        "\n".join(f"- {sentence}" for sentence in sentences(evidence, images["name"])),
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number)


def _legend(letters: Mapping[str, str]) -> str:
    words = "; ".join(f"{letter}: {machine}" for machine, letter in letters.items())
    return f"Machines: {words}." if letters else ""


def _row_line(row: Record) -> str:
    flags = f": `{row['flags']}`" if row["flags"] else ""
    return f"- `{row['name']}`, {row['words']}{flags}"


def _all_runs(runs: Sequence[Record]) -> list[str]:
    if not runs:
        return []
    header = ("images", "row", "budget", "seed", "way", "answer", "rank", "by gains", "rank",
              "by alpha", "rank", "trainings", "CPU minutes", "config", "commit")  # fmt: skip
    facts = "; ".join(
        dict.fromkeys(f"torch {r['versions']['torch']}, {r['impl']} cells" for r in runs)
    )
    images = "; ".join(dict.fromkeys(run["images"] for run in runs))
    return [
        "## All runs",
        table(header, [_run_line(run) for run in runs], "lllrllrlrlrrrll"),
        f"Images: {images}. {facts}.",
    ]


def _run_line(run: Record) -> list[str]:
    supernet, refine = (minutes(run["cpu_seconds"][name]) for name in ("supernet", "refine"))
    return [
        run["dataset"], f"`{run['row']}`", run["budget"] or "", str(run["seed"]),
        " -> ".join(run["path"]), *_code_and_rank(answer(run)),
        *[
            text
            for guide in ("gains", "alpha")
            for text in _code_and_rank(run["cells"].get(guide))
        ],
        str(run["trainings"]), f"{supernet} + {refine}", f"`{run['config_hash']}`",
        f"`{run['commit'] or '-'}`",
    ]  # fmt: skip


def _code_and_rank(cell: Record | None) -> tuple[str, str]:
    return ("", "") if cell is None else (f"`{cell['code']}`", count(cell["ranks"][JUDGE]))
