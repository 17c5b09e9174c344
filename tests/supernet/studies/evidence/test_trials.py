"""What short trainings decided: the table, and the standings that it is made of."""

import pytest

from supernet.cells.genotype import Genotype
from supernet.search.refine import refine
from supernet.studies.evidence.page import page_text
from supernet.studies.evidence.records import compared
from tests.supernet.studies.evidence.invented_evidence import evidence, lines_of

STANDINGS = {"333333": 3.0, "333133": 3.5, "333123": 3.4, "323333": 1.0}
LOSSES = {"333333": 1.0, "333133": 0.8, "333123": 0.5, "323333": 0.9}


def sweeps() -> list[dict[str, object]]:
    """Those of a refinement from all 3x3, as refine.json has them."""

    def around(cell: Genotype) -> list[Genotype]:
        codes = ("333133", "333123", "323333")
        return [Genotype.parse(code) for code in codes if code != cell.code]

    found = refine(
        [Genotype.parse("333333")],
        lambda cells, number: [LOSSES[cell.code] - 0.1 * number for cell in cells],
        standing=lambda cell: STANDINGS[cell.code],
        around=around,
        rounds=2,
        moves=1,
    )
    return [
        {
            "start": None if sweep.start is None else sweep.start.code,
            "chosen": sweep.chosen.code,
            "rounds": [
                {
                    "cells": [cell.code for cell in each.cells],
                    "losses": list(each.losses),
                    "scores": list(each.scores),
                }
                for each in sweep.rounds
            ],
        }
        for sweep in found
    ]


def test_a_record_has_the_standing_and_the_losses_of_every_cell() -> None:
    first, only = sweeps()
    assert first["rounds"] == []
    (kept,) = compared([first, only])
    assert kept["start"] == "333333" and kept["chosen"] == "333123"
    assert kept["standings"] == STANDINGS
    assert kept["losses"] == [
        {"333133": 0.8, "333123": 0.5, "323333": 0.9}, {"333333": 0.9, "333123": 0.4}
    ]  # fmt: skip


def test_other_numbers_of_losses_than_of_cells_are_refused() -> None:
    _, only = sweeps()
    only["rounds"][0]["losses"].pop()  # type: ignore[index]
    with pytest.raises(ValueError, match="shorter"):
        compared([only])


def test_the_table_counts_what_agrees() -> None:
    """Trainings turned the choice here: the greatest standing is another cell's."""
    made_up = evidence()
    assert "## What short trainings decide" not in page_text(made_up, notes=None, source="e.json")
    for run in made_up["runs"][:2]:  # of `main`
        run["sweeps"] = compared(sweeps())
    made_up["runs"][1]["sweeps"][0]["chosen"] = "333133"
    text = page_text(made_up, notes=None, source="e.json")
    assert "## What short trainings decide" in text
    assert lines_of(text, "| CIFAR-10 | `main` | 2 ") == [
        "| CIFAR-10 | `main` | 2 | 2 | 1 | 1 | 1 |"
    ]
