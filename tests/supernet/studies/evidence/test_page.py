"""The page from invented evidence."""

import shutil
from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.files import write_json
from supernet.studies.evidence.page import page_text, refuse_other_page, write_page
from tests.supernet.studies.evidence.invented_evidence import evidence, lines_of, run

ROOT = Path(__file__).parents[4]


def test_every_data_set_has_a_section() -> None:
    text = page_text(evidence(), notes=None, source="e/evidence.json")
    heads = lines_of(text, "## ")
    assert heads == [
        "## CIFAR-10", "## a stand-in", "## Within a budget", "## Fronts", "## The rows",
        "## All runs",
    ]  # fmt: skip
    first = text[text.index("## CIFAR-10") : text.index("## a stand-in")]
    assert "Searches take `--dataset cifar10`." in first
    assert lines_of(first, "| `free` |") and lines_of(first, "- `main`: ")
    second = text[text.index("## a stand-in") : text.index("## Within")]
    assert "Searches take `--dataset imagenet16-120 --shrink 1`." in second
    assert lines_of(second, "- No search of `main` has been run yet")
    assert "Machines: A: CPU, 2 threads; B: a GPU." in text
    assert "**Not run yet:** `main` seed 8 on cifar10; " in text
    assert "where these flags meant another config:** `main` on cifar10; `free` on" in text


def test_every_run_is_listed_with_its_cells() -> None:
    some = evidence()
    some["runs"][1]["commit"] = None
    del some["runs"][3]["cells"]["gains"], some["runs"][3]["cells"]["alpha"]
    text = page_text(some, notes=None, source="e")
    assert lines_of(text, "| cifar10 | `main` |  | 5 |") == [
        "| cifar10 | `main` |  | 5 | 333133 -> 333333 | `333333` | 2 | `333133` | 100 | `333133` "
        "| 100 | 60 | 10 + 5.0 | `0123456789ab` | `abc` |"
    ]
    assert lines_of(text, "| cifar10 | `main` |  | 6 |")[0].endswith("| `0123456789ab` | `-` |")
    (free,) = lines_of(text, "| cifar10 | `free` |")
    assert "| `222222` | 1,500 |  |  |  |  | 0 | 0 + 0 |" in free
    assert len(lines_of(text, "| cifar10 | `within` | 0.4M |")) == 2
    assert "Images: some images. torch 9.9, native cells." in text
    assert "- `free`, words of free: `--epochs 0`" in text.splitlines()


def test_the_introduction_says_what_to_know() -> None:
    text = page_text(evidence(), notes=None, source="e")
    assert "`python scripts/search.py --robust --preset cpu`" in text and "None" not in text
    assert "no seed is held out from them" in text
    noted = page_text({**evidence(), "note": "These are old."}, notes=None, source="e")
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
    assert (out / "summary.md").read_text().startswith("| PGD-20 8/255 in % (rank of 6,466) |")


def test_the_committed_page_is_what_its_evidence_says(tmp_path: Path) -> None:
    docs = ROOT / "docs" / "results"
    shutil.copytree(docs / "search", tmp_path / "search")
    page = write_page(tmp_path / "search" / "evidence", tmp_path / "search.md")
    for path in (page, tmp_path / "search" / "evidence" / "summary.md"):
        committed = docs / path.relative_to(tmp_path)
        assert path.read_text() == committed.read_text(), (
            "python scripts/evidence.py --page-only"
        )  # fmt: skip


def test_before_the_first_run() -> None:
    text = page_text({**evidence(), "runs": []}, notes=None, source="e")
    assert len(lines_of(text, "- No search of `main` has been run yet:")) == 2
    assert lines_of(text, "## ")[2:] == ["## Within a budget", "## Fronts", "## The rows"]


def test_more_machines_than_letters() -> None:
    some = evidence()
    one = some["runs"][0]["cells"]["gains"]
    some["runs"] = [run("main", seed, one, one, machine=f"m{seed}") for seed in range(27)]
    assert "; Z: m25; 26: m26." in page_text(some, notes=None, source="e")


def test_a_page_of_other_evidence_is_left_as_it_is(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "results" / "search" / "evidence", tmp_path / "mine")
    page = tmp_path / "search.md"
    write_page(tmp_path / "mine", page)
    before = page.read_bytes()
    assert write_page(tmp_path / "mine", page).read_bytes() == before, "its own is written again"
    (tmp_path / "mine").rename(tmp_path / "yours")
    with pytest.raises(
        UserError, match=r"search\.md was not written from .*yours/evidence\.json; "
    ):
        write_page(tmp_path / "yours", page)
    page.write_text("My notes.\n")
    with pytest.raises(UserError, match="name another page with --page"):
        refuse_other_page(tmp_path / "yours", page)
    assert page.read_text() == "My notes.\n"
