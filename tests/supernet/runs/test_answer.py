"""The cells that a refinement starts from, and its answers in order."""

import dataclasses

import pytest

from supernet.cells.genotype import Genotype
from supernet.runs.answer import answers_in_order, starting_cells
from supernet.search.derive import Derivation, restriction
from supernet.search.gains import Gains
from tests.supernet.runs.test_refinement import CONFIG, NO_GAINS, proposals_for


def test_what_the_refinement_starts_from() -> None:
    found = Genotype.parse("323332")
    derivation = Derivation({"gains": found}, "gains", Gains(NO_GAINS, NO_GAINS))
    every = dataclasses.replace(
        CONFIG, epochs=1, prior=("cifar100",),
        proposals=("supernet", "free", "prior", "random", "333133", "333123"),
    )  # fmt: skip
    scored = proposals_for(every)
    cells = starting_cells(every, derivation, scored, None)
    assert list(cells) == ["supernet", "free", "prior", "random", "given"]
    assert cells["supernet"] == [found]
    assert cells["free"] == scored.best("free", 4)
    assert cells["prior"] == scored.best("both", 4)
    assert [cell.code for cell in cells["given"]] == ["333133", "333123"]
    assert starting_cells(every, derivation, scored, None)["random"] == cells["random"]
    alone = dataclasses.replace(every, proposals=("free",))
    assert starting_cells(alone, derivation, scored, None) == {"free": scored.best("free", 8)}
    other = dataclasses.replace(every, seed=1)
    assert starting_cells(other, derivation, scored, None)["random"] != cells["random"]


@pytest.mark.slow
def test_a_random_cell_fits_with_its_dead_edges() -> None:
    """Of 5,026 cells whose live edges are within 0.2 M every fifth has more with its dead ones."""
    derivation = Derivation({}, "", Gains(NO_GAINS, NO_GAINS))
    small = dataclasses.replace(CONFIG, max_params=2e5, proposals=("random",))
    assert small.allows_none
    fits = restriction(small.budgets, 10, 32)
    for seed in range(30):
        config = dataclasses.replace(small, seed=seed)
        (cell,) = starting_cells(config, derivation, proposals_for(config), fits)["random"]
        assert cell.params() <= 2e5 and cell.is_connected


def test_answers_come_in_the_order_of_the_refinement() -> None:
    refinement = {
        "answer": "333123",
        "sweeps": [
            {"rounds": [{"cells": ["333133", "111111"], "scores": [1.0, 0.5]}]},
            {"rounds": [{"cells": ["323123", "333123"], "scores": [0.2, 0.9]}]},
        ],
    }
    scored = proposals_for(CONFIG)
    order = [cell.code for cell in answers_in_order(refinement, scored)]
    assert order[:5] == ["333123", "333123", "323123", "333133", "111111"]
    assert order[5:8] == [cell.code for cell in scored.best("free", 3)]
