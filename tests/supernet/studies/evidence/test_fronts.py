"""The section on fronts says what the records of searches and of random cells say."""

import pytest

from supernet.studies.evidence.page import page_text
from tests.supernet.studies.evidence.invented_evidence import evidence, front, lines_of


def test_a_line_per_row_then_random_cells() -> None:
    some = evidence()
    assert "## Fronts" not in page_text(some, notes=None, source="e")
    some["runs"][1]["front"] = front(40, 0.92, 0.03)
    some["runs"][2]["front"] = front(44, 0.90, 0.01)
    some["runs"][3]["front"] = front(9, 0.9, None)
    text = page_text(some, notes=None, source="e")
    section = text[text.index("## Fronts") : text.index("## What the numbers say")]
    (main,) = lines_of(section, "| `main` |")
    assert main.startswith("| `main` | 2 | 42 (40..44) | 91.00 (90.00..92.00) | 0.100 (")
    assert main.endswith("| 2.00 (1.00..3.00) | 1.10 (1.10..1.10) |")
    (mgda,) = lines_of(section, "| `mgda` |")
    assert mgda == "| `mgda` | 1 | 9 | 90.00 | 0.100 | 0.200 | - | 1.10 |"
    assert "| 40 random cells |  | 40 | 91.00 (80.00..93.00) |  |  |  |  |" in section
    (header,) = lines_of(section, "| front |")
    assert header.endswith("| regret to 0.2 M | regret to 1.2 M |")
    assert "![" not in section, "the front of seed 0 is not known"


def test_a_dash_where_one_seed_has_no_cell_so_small() -> None:
    some = evidence()
    some["runs"][1]["front"] = front(40, 0.92, None)
    some["runs"][2]["front"] = front(44, 0.90, 0.01)
    section = page_text(some, notes=None, source="e").split("## Fronts")[1].split("## What")[0]
    (main,) = lines_of(section, "| `main` |")
    assert main.endswith("| - | 1.10 (1.10..1.10) |")


@pytest.mark.parametrize("source", ["evidence.json", "search/evidence/evidence.json"])
def test_the_first_seed_of_main_is_drawn(source: str) -> None:
    some = evidence()
    some["runs"][0]["front"] = some["runs"][3]["front"] = front(40, 0.92, 0.03)
    text = page_text(some, notes=None, source=source)
    (picture,) = lines_of(text, "![")
    folder = source.removesuffix("evidence.json")
    assert picture == f"![The front of main, seed 0]({folder}fronts/main-seed0.png)"
