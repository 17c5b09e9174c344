"""The page from invented evidence: medians and ranges that can be checked by hand."""

import shutil
from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.files import write_json
from supernet.studies.evidence.page import page_text, write_page
from tests.supernet.studies.evidence.invented_evidence import evidence, lines_of, run

ROOT = Path(__file__).parents[4]


def test_median_and_range_of_each_row_and_guide() -> None:
    text = page_text(evidence(), notes=None, source="e/evidence.json")
    (gains,) = lines_of(text, "| `main` by gains |")
    assert gains == (
        "| `main` by gains | 3 | 70.00 (70.00..70.00) | 46.00 (45.00..47.00) "
        "| 40.00 (40.00..40.00) | 301 (100..900) | 0 | 0 | 2.11 (1.11..3.11) "
        "| 0.80 M (0.80 M..0.80 M) "
        "| 2 min 0 s (1 min 0 s..3 min 0 s) | A |"
    )
    (alpha,) = lines_of(text, "| `main` by alpha |")
    assert "| 46.00 (46.00..48.00) |" in alpha and "| 300 (2..301) | 1 | 0 |" in alpha
    (inner,) = lines_of(text, "| `main` by gains without the last cell |")
    assert "| 1,500 (301..1,500) | 0 | 0 |" in inner
    (mgda,) = lines_of(text, "| `mgda` by gains |")
    assert "| 1 | 70.00 | 44.00 | 40.00 | 1,500 |" in mgda and mgda.endswith("| B |")
    assert "Machines: A: CPU, 2 threads; B: a GPU." in text
    assert "| best of 300 cells by croze (`313131`), first of 2 alike | " in text
    assert lines_of(text, "| `pgd`") == []
    assert "**Not run yet:** `main` seeds 3, 4; `mgda` seed 0; `pgd` seed 0." in text


def test_every_run_is_listed_with_its_cells() -> None:
    some = evidence()
    some["runs"][1]["commit"] = None
    text = page_text(some, notes=None, source="e")
    assert lines_of(text, "| `main` | 0 |") == [
        "| `main` | 0 | `333333` | 2 | `333133` | 100 | `222222` | 1,500 | 1 min 0 s "
        "| `0123456789ab` | `abc` |"
    ]
    assert lines_of(text, "| `main` | 1 |")[0].endswith("| `0123456789ab` | `-` |")
    assert "Images: some images. torch 9.9, native cells." in text
    (header,) = lines_of(text, "| row | seed |")
    assert header.count("| rank |") == 3
    assert "- `pgd`, PGD: `--attack pgd`" in text.splitlines()


def test_the_introduction_says_what_answers_and_what_to_know() -> None:
    some = evidence() | {"answer": "inner_gains"}
    text = page_text(some, notes=None, source="e")
    assert "The preset itself answers with the cell by gains without the last cell;" in text
    assert "None" not in text
    noted = page_text({**some, "note": "These are old."}, notes=None, source="e")
    assert "These are old." in noted.splitlines()


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
    some = evidence() | {"together": [{
        "by": "inner_gains", "seeds": 3, "groups": 20, "median_rank": 34, "worst_rank": 1110,
        "in_top": 19, "median_pgd_8": 0.4737, "worst_pgd_8": 0.45,
    }]}  # fmt: skip
    text = page_text(some, notes=None, source="e")
    line = "| by gains without the last cell | 3 | 20 | 34 | 1,110 | 95 % | 47.37 | 45.00 |"
    assert line in text.splitlines()
    assert "Several seeds, one cell" not in page_text(evidence(), notes=None, source="e")


def test_the_committed_page_is_what_its_evidence_says(tmp_path: Path) -> None:
    docs = ROOT / "docs" / "results"
    shutil.copytree(docs / "search", tmp_path / "search")
    page = write_page(tmp_path / "search" / "evidence", tmp_path / "search.md")
    assert page.read_text() == (docs / "search.md").read_text(), (
        "python scripts/evidence.py --page-only"
    )


def test_before_the_first_run() -> None:
    text = page_text({**evidence(), "runs": []}, notes=None, source="e")
    assert "- No search of `main` has been run yet:" in text and "## All runs" not in text
    assert lines_of(text, "| all 3x3, the largest cell (`333333`) |  | 70.00 | 47.37 |")


def test_more_machines_than_letters() -> None:
    some = evidence()
    one = some["runs"][0]["cells"]["alpha"]
    some["runs"] = [run("main", seed, one, one, one, machine=f"m{seed}") for seed in range(27)]
    assert "; Z: m25; 26: m26." in page_text(some, notes=None, source="e")
