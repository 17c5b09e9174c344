"""The table of a data set: medians and ranges that can be checked by hand."""

from supernet.studies.evidence.searches import searches
from tests.supernet.studies.evidence.invented_evidence import evidence, lines_of

LETTERS = {"CPU, 2 threads": "A", "a GPU": "B"}


def test_median_and_range_of_each_line() -> None:
    some = evidence()
    text = searches(some, some["images"][0], LETTERS)
    assert lines_of(text, "| `main` |") == [
        "| `main` | 3 | 70.00 | 46.00 (46.00..48.00) | 40.00 "
        "| 300 (2..301) | 302 (4..303) | 301 (3..302) | 1 | 0 | 2.11 (0.11..2.11) | 0.80 M "
        "| 70 (60..80) | 16 (15..17) | A |"
    ]
    (gains,) = lines_of(text, "| `main`, supernet alone |")
    assert "| 46.00 (45.00..47.00) |" in gains
    assert gains.endswith("| 0 | 10 | A |"), "gains are read before any short training"
    (free,) = lines_of(text, "| `free` |")
    assert "| 1 | 70.00 | 44.00 | 40.00 | 1,500 |" in free and free.endswith("| 0 | 0 | B |")
    assert lines_of(text, "| `prior`") == []


def test_a_cell_by_free_scores_costs_nothing() -> None:
    some = evidence()
    some["plan"][0]["guides"] = ["answer", "free", "alpha"]
    for run in some["runs"]:
        run["cells"]["free"] = run["cells"]["gains"]
    text = searches(some, some["images"][0], LETTERS)
    (free,) = lines_of(text, "| `main`, free scores alone |")
    (alpha,) = lines_of(text, "| `main`, by alpha |")
    assert free.endswith("| 0 | 0 | A |") and alpha.endswith("| 0 | 10 | A |")


def test_rows_without_search_have_no_cost() -> None:
    some = evidence()
    text = searches(some, some["images"][0], LETTERS)
    (line,) = lines_of(text, "| all 3x3 (`333333`) |")
    assert line == (
        "| all 3x3 (`333333`) |  | 70.00 | 47.37 | 40.00 | 34 | 36 | 35 | 1 | 0 | 0.74 | 0.80 M "
        "|  |  |  |"
    )
    assert lines_of(text, "| best of 50 |  | 70.00 | 46.00 |")


def test_a_stand_in_is_called_one_in_every_row() -> None:
    some = evidence()
    for run in some["runs"]:
        run["dataset"] = "imagenet16-120"
    rows = lines_of(searches(some, some["images"][1], LETTERS), "| `")
    assert len(rows) == 3 and all(row.split(" | ")[0].endswith(", a stand-in") for row in rows)
