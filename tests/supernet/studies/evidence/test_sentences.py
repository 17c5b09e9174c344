"""Sentences follow the numbers: each by hand from the invented evidence."""

from typing import Any

from supernet.studies.evidence.sentences import sentences
from tests.supernet.studies.evidence.invented_evidence import cell, evidence, run


def said(some: dict[str, Any], start: str) -> list[str]:
    """The sentences about some evidence on CIFAR-10 that begin so."""
    return [text for text in sentences(some, "cifar10") if text.startswith(start)]


def test_a_verdict_on_each_line_of_main() -> None:
    assert said(evidence(), "`main`: ") == [
        "`main`: median rank 300 of 6,466 over 3 seeds, best 2, worst 301; median regret 2.11 "
        "points; better than all 3x3 (47.37 %) in 1 of 3; better than best of 50 (46.00 %) in 1 of "
        "3; better than the prior's best (47.73 %) in 1 of 3."
    ]
    assert len(said(evidence(), "`main`, supernet alone: ")) == 1
    some = evidence()
    some["runs"] = [each for each in some["runs"] if each["seed"] == 6]
    assert said(some, "`main`: ")[0].startswith(
        "`main`: rank 300 of 6,466 (one seed), regret 2.11 points; better than all 3x3 (47.37 %) in"
    )


def test_what_short_trainings_add_to_gains() -> None:
    assert said(evidence(), "`main`, next to the cell by") == [
        "`main`, next to the cell by its supernet's gains: better in 2 of 3, worse in 0, as good "
        "in 1; median difference +1.00 points."
    ]


def test_costs_are_medians() -> None:
    assert said(evidence(), "`main` costs") == [
        "`main` costs 10 CPU minutes of supernet and 6.0 of 70 short trainings (medians)."
    ]


def test_other_rows_on_the_seeds_that_main_has_too() -> None:
    # On seed 6 alone, not compared with the median of all of main.
    assert said(evidence(), "`main` next to") == [
        "`main` next to `free` on seed 6 (what the supernet adds): +2.00 points."
    ]
    some = evidence()
    good = cell("333133", 0.479, 2)
    some["runs"] += [run("free", 5, good, good), run("prior", 5, good, good)]
    assert said(some, "`main` next to") == [
        "`main` next to `free` on seeds 5, 6 (what the supernet adds): better in 2 of 2, worse in "
        "0, as good in 0; median difference +1.05 points.",
        "`main` next to `prior` on seed 5: +0.10 points.",
    ]


def test_without_main_there_is_nothing_to_compare_with() -> None:
    assert sentences(evidence(), "imagenet16-120") == [
        "No search of `main` has been run yet: there is nothing to compare with."
    ]
