"""The page from invented evidence: medians, ranges and sentences that can be checked by hand."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.files import write_json
from supernet.studies.evidence.page import page_text, write_page

ROOT = Path(__file__).parents[4]


def cell(code: str, pgd_8: float, rank: int, params: int = 800_000) -> dict[str, Any]:
    return {
        "code": code, "clean": 0.7, "pgd_8": pgd_8, "autoattack": 0.4, "rank": rank,
        "regret": 0.4811 - pgd_8, "params": params,
    }  # fmt: skip


def run(row: str, seed: int, chosen: Any, argmax: Any, **more: Any) -> dict[str, Any]:
    return {
        "row": row, "seed": seed, "flags": "", "chosen_by": "score", "chosen": chosen,
        "argmax": argmax, "seconds": 60.0 * (seed + 1), "machine": "CPU, 2 threads",
        "impl": "native", "images": "some images", "torch": "9.9", "commit": "abc",
        "config_hash": "0123456789ab", **more,
    }  # fmt: skip


def evidence() -> dict[str, Any]:
    runs = [
        run("main", 0, cell("333133", 0.47, 100), cell("333333", 0.48, 2)),
        run("main", 1, cell("333132", 0.45, 900), cell("333323", 0.46, 300)),
        run("main", 2, cell("333131", 0.46, 301), cell("333131", 0.46, 301)),
        run("mgda", 1, cell("222222", 0.44, 1500), cell("222222", 0.44, 1500), machine="a GPU"),
    ]
    return {
        "judge": ["cifar10", "pgd_8"], "base": "--robust --preset cpu",
        "plan": [
            {"name": "main", "words": "as it is", "flags": "", "seeds": 5},
            {"name": "mgda", "words": "min-norm", "flags": "--objective mgda", "seeds": 2},
            {"name": "pgd", "words": "PGD", "flags": "--weight-attack pgd", "seeds": 1},
        ],
        "runs": runs,
        "without_search": [
            {"name": "all 3x3, the largest cell", "n": None, **cell("333333", 0.4737, 34)},
            {"name": "best of 50 random cells (expected)", "n": 50, **cell("", 0.46, 181)},
        ],
        "picks": [{"name": "best of 300 cells by croze", "ties": 2, **cell("313131", 0.4, 3000)}],
    }  # fmt: skip


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_median_and_range_of_each_row_and_answer() -> None:
    text = page_text(evidence(), notes=None, source="e/evidence.json")
    (chosen,) = lines_of(text, "| `main`, chosen by score |")
    assert chosen == (
        "| `main`, chosen by score | 3 | 70.00 (70.00..70.00) | 46.00 (45.00..47.00) "
        "| 40.00 (40.00..40.00) | 301 (100..900) | 0 | 0 | 2.11 (1.11..3.11) "
        "| 0.80 M (0.80 M..0.80 M) "
        "| 2 min 0 s (1 min 0 s..3 min 0 s) | A |"
    )
    (argmax,) = lines_of(text, "| `main`, argmax of alpha |")
    assert "| 46.00 (46.00..48.00) |" in argmax and "| 300 (2..301) | 1 | 0 |" in argmax
    (mgda,) = lines_of(text, "| `mgda`, argmax")
    assert "| 1 | 70.00 | 44.00 | 40.00 | 1,500 |" in mgda and mgda.endswith("| B |")
    assert "Machines: A: CPU, 2 threads; B: a GPU." in text
    assert "| best of 300 cells by croze (`313131`), first of 2 alike | " in text
    assert lines_of(text, "| `pgd`") == []


def test_sentences_follow_the_numbers() -> None:
    text = page_text(evidence(), notes=None, source="e.json")
    assert lines_of(text, "- `main`, chosen by score: ") == [
        "- `main`, chosen by score: median rank 301 of 6,466 over 3 seeds, best 100, worst 900; "
        "its median 46.00 % under PGD-20 8/255 is below all 3x3, the largest cell (47.37 %) and "
        "equal to best of 50 random cells (expected) (46.00 %)."
    ]
    assert lines_of(text, "- `main`: against the argmax") == [
        "- `main`: against the argmax of alpha in the same run, chosen by score is better in 0 of "
        "3 runs, worse in 2, as good in 1; median difference -1.00 points."
    ]
    assert lines_of(text, "- `mgda`, argmax") == []  # the table has it
    # On seed 1 alone, not beside the median of all of main.
    assert lines_of(text, "- `mgda` beside") == [
        "- `mgda` beside `main`, median difference on seed 1: argmax of alpha -2.00 points; "
        "chosen by score -1.00 points."
    ]
    assert "**Not run yet:** `main` seeds 3, 4; `mgda` seed 0; `pgd` seed 0." in text


def test_gains_are_an_answer_where_every_run_of_the_row_has_them() -> None:
    some = evidence()
    for record in some["runs"][:2]:
        record["gains"] = cell("333332", 0.475, 20)
    text = page_text(some, notes=None, source="e")
    assert "argmax of gains" not in text and "| `333332` | 20 |" in text
    some["runs"][2]["gains"] = cell("333332", 0.475, 20)
    text = page_text(some, notes=None, source="e")
    assert len(lines_of(text, "| `main`, argmax of gains | 3 |")) == 1
    better = "- `main`: against the argmax of alpha in the same run, argmax of gains is better in 2"
    assert len(lines_of(text, better)) == 1
    # mgda has none: it is compared by what both have.
    (beside,) = lines_of(text, "- `mgda` beside")
    assert "gains" not in beside and "argmax of alpha -2.00 points" in beside


def test_two_ranks_have_a_half_between_them() -> None:
    some = evidence()
    some["runs"] = some["runs"][1:3]
    assert "median rank 600.5 of 6,466 over 2 seeds" in page_text(some, notes=None, source="e")


def test_where_no_cell_was_scored_there_is_one_answer() -> None:
    some = evidence()
    some["runs"] = [
        run("main", 0, cell("333133", 0.48, 2), cell("333133", 0.48, 2), chosen_by="argmax")
    ]
    text = page_text(some, notes=None, source="e")
    assert "chosen by score" not in text
    assert "is above all 3x3, the largest cell (47.37 %) and above best of 50" in text


def front(cells: int, hypervolume: float, small: float | None) -> dict[str, Any]:
    return {
        "cells": cells, "hypervolume_ratio": hypervolume, "generational_distance": 0.1,
        "inverted_generational_distance": 0.2, "regret": {"200000": small, "1200000": 0.011},
    }  # fmt: skip


def test_fronts_are_a_line_for_each_way_to_find_them() -> None:
    some = evidence()
    assert "## Fronts" not in page_text(some, notes=None, source="e")
    some["runs"][1]["fronts"] = {"found": front(40, 0.92, 0.03), "random": front(9, 0.9, None)}
    some["runs"][2]["fronts"] = {"found": front(44, 0.90, 0.01), "random": front(9, 0.9, 0.02)}
    some["runs"][3]["fronts"] = None
    text = page_text(some, notes=None, source="e")
    (found,) = lines_of(text, "| `main`, found |")
    assert found.startswith("| `main`, found | 2 | 42 (40..44) | 91.00 (90.00..92.00) | 0.100 (")
    assert found.endswith("| 2.00 (1.00..3.00) | 1.10 (1.10..1.10) |")
    (chance,) = lines_of(text, "| `main`, random |")
    assert chance.endswith("| - | 1.10 (1.10..1.10) |")
    (header,) = lines_of(text, "| front |")
    assert header.endswith("| to 0.2 M | to 1.2 M |")


def test_notes_are_taken_as_they_are(tmp_path: Path) -> None:
    out, page = tmp_path / "docs" / "search" / "evidence", tmp_path / "docs" / "search.md"
    with pytest.raises(UserError, match=r"there is no .*evidence\.json"):
        write_page(out, page)
    write_json(out / "evidence.json", evidence())
    (out / "notes.md").write_text("## What we make of it\n\n*Nothing*, yet  .\n")
    text = write_page(out, page).read_text()
    assert text.endswith("\n\n## What we make of it\n\n*Nothing*, yet  .\n")
    assert "[evidence.json](search/evidence/evidence.json)" in text


def test_several_seeds_as_one() -> None:
    some = evidence() | {"answer": "gains", "together": [{
        "by": "inner_gains", "seeds": 3, "groups": 20, "median_rank": 34, "worst_rank": 1110,
        "in_top": 19, "median_pgd_8": 0.4737, "worst_pgd_8": 0.45,
    }]}  # fmt: skip
    text = page_text(some, notes=None, source="e")
    line = "| argmax of gains without the last cell | 3 | 20 | 34 | 1,110 | 95 % | 47.37 | 45.00 |"
    assert line in text.splitlines()
    assert "The preset's own answer is the argmax of gains;" in text


def test_random_cells_stand_under_the_fronts() -> None:
    some = evidence() | {
        "random_fronts": [
            {"name": "40 random cells", "cells": 40, "hypervolume_ratio": [0.8, 0.91, 0.93]}
        ]
    }
    numbers = {
        "cells": 40, "hypervolume_ratio": 0.9, "generational_distance": 0.1,
        "inverted_generational_distance": 0.1, "regret": {"200000": 0.01},
    }  # fmt: skip
    some["runs"][0]["fronts"] = {"found": numbers, "proposed": numbers}
    text = page_text(some, notes=None, source="e")
    assert "| 40 random cells |  | 40 | 91.00 (80.00..93.00) |  |  |  |" in text
    assert "of the cells it proposes a line of its own has all" in text
    del some["runs"][0]["fronts"]["proposed"]
    assert "a line of its own" not in page_text(some, notes=None, source="e")


def test_the_committed_page_is_what_its_evidence_says(tmp_path: Path) -> None:
    docs = ROOT / "docs" / "results"
    shutil.copytree(docs / "search", tmp_path / "search")
    page = write_page(tmp_path / "search" / "evidence", tmp_path / "search.md")
    assert page.read_text() == (docs / "search.md").read_text(), (
        "python scripts/evidence.py --page-only"
    )


def test_before_the_first_run() -> None:
    text = page_text({**evidence(), "runs": []}, notes=None, source="e")
    assert "- No search has been run yet." in text and "## All runs" not in text
    assert lines_of(text, "| all 3x3, the largest cell (`333333`) |  | 70.00 | 47.37 |")
