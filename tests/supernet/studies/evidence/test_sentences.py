"""Sentences follow the numbers: each by hand from the invented evidence."""

from typing import Any

from supernet.studies.evidence.sentences import count, sentences, spread
from tests.supernet.studies.evidence.invented_evidence import cell, evidence, front, run


def said(some: dict[str, Any], start: str) -> list[str]:
    """The sentences about some evidence that begin so."""
    runs = {
        row["name"]: [r for r in some["runs"] if r["row"] == row["name"]] for row in some["plan"]
    }
    return [text for text in sentences(some, runs) if text.startswith(start)]


def test_a_verdict_on_main_by_each_guide() -> None:
    assert said(evidence(), "`main` by gains: ") == [
        "`main` by gains: median rank 301 of 6,466 over 3 seeds, best 100, worst 900; "
        "its median 46.00 % under PGD-20 8/255 is below all 3x3, the largest cell (47.37 %) and "
        "equal to best of 50 random cells (expected) (46.00 %)."
    ]
    assert len(said(evidence(), "`main` by ")) == 3
    assert said(evidence(), "`mgda` by ") == [], "the table has it"


def test_gains_against_alpha_of_the_same_run() -> None:
    first, second = said(evidence(), "`main`: against the cell by alpha of the same run, ")
    assert first.endswith(
        "the cell by gains is better in 0 of 3 runs, worse in 2, as good in 1; median difference "
        "-1.00 points."
    )
    assert "the cell by gains without the last cell is better in 0 of 3 runs, worse in 2" in second


def test_other_rows_on_the_seeds_that_main_has_too() -> None:
    # On seed 1 alone, not compared with the median of all of main.
    assert said(evidence(), "`mgda`") == [
        "`mgda` next to `main`, median difference on seed 1: by alpha -2.00 points; by gains "
        "-1.00 points; by gains without the last cell +3.50 points."
    ]
    some = evidence()
    some["runs"][3]["seed"] = 7
    assert said(some, "`mgda`") == []
    some["runs"] = [r for r in some["runs"] if r["row"] != "main"]
    assert said(some, "") == [
        "No search of `main` has been run yet: there is nothing to compare with."
    ]


def test_one_seed_has_a_rank_and_no_median() -> None:
    some = evidence()
    best = cell("333133", 0.48, 2)
    some["runs"] = [run("main", 0, best, best, best)]
    (verdict,) = said(some, "`main` by alpha: ")
    assert verdict.startswith("`main` by alpha: rank 2 of 6,466 (one seed); its 48.00 % under")
    assert "is above all 3x3, the largest cell (47.37 %) and above best of 50" in verdict


def test_the_front_of_main_next_to_random_cells() -> None:
    some = evidence()
    assert said(some, "`main`: its front") == []
    some["runs"][0]["front"] = front(28, 0.905, 0.1)
    assert said(some, "`main`: its front") == [
        "`main`: its front has 90.50 % of the true front's hypervolume in its one seed. Without a "
        "search: 40 random cells 91.00 %."
    ]
    some["runs"][2]["front"] = front(28, 0.925, 0.1)
    assert "has 91.50 % of the true front's hypervolume in the median of 2 seeds" in "".join(
        said(some, "`main`: its front")
    )


def test_two_ranks_have_a_half_between_them() -> None:
    assert spread([900, 301], count) == "600.5 (301..900)"
    assert spread([1717], count) == "1,717"
