"""The few numbers for a first page."""

from supernet.studies.evidence.summary import summary
from tests.supernet.studies.evidence.invented_evidence import evidence, run


def test_held_out_seeds_next_to_what_costs_nothing() -> None:
    some = evidence()
    best = some["runs"][0]["cells"]["refined"]
    some["runs"].append(run("main", 5, best, best, dataset="imagenet16-120"))
    assert summary(some).splitlines() == [
        "| PGD-20 8/255 in % (rank of 6,466) | CIFAR-10 | a stand-in | cost |",
        "| --- | ---: | ---: | --- |",
        "| this search, median of held-out seeds | 46.00 (300), 3 seeds | 48.00 (2), 1 seed "
        "| 16 CPU minutes |",
        "| the same without a supernet, median of held-out seeds | 44.00 (1,500), 1 seed | - "
        "| 0 CPU minutes |",
        "| the largest cell, all 3x3 convolutions | 47.37 (34) | 47.37 (34) | none |",
        "| best of 50 random cells (expected) | 46.00 (181) | 46.00 (181) "
        "| 50 adversarial trainings |",
        "| best by the other data sets' results | 47.73 (5) | 47.73 (5) | the benchmark |",
        "| the best cell | 48.11 (1) | 48.11 (1) | 6,466 adversarial trainings |",
    ]


def test_seeds_that_settings_were_chosen_on_are_left_out() -> None:
    some = evidence()
    some["runs"] = [r for r in some["runs"] if r["seed"] == 0]
    assert "this search" not in summary(some)
