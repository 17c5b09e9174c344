"""Fronts that scores pick, on scores whose quality is known."""

import numpy as np
import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.pareto import non_dominated
from supernet.studies.ranking.fronts import BOTH, CHANCE, EVERY, markdown, pick_fronts


@pytest.mark.slow
def test_the_best_of_each_size_by_definition(invented: Table) -> None:
    cells = [invented.genotypes[row] for row in range(0, invented.size, 29)]
    truth = np.array([query_cell(invented, c)["results"]["cifar10"]["pgd_8"] for c in cells])
    clean = np.array([query_cell(invented, c)["results"]["cifar10"]["clean"] for c in cells])
    params = np.array([c.params() for c in cells])
    scores = {
        "oracle": truth, "parameters": params * 1.0, "flat": np.zeros(len(cells)),
        "supernet_clean_loss": clean, "supernet_robust_loss": truth,  # negated: higher is better
    }  # fmt: skip
    found = pick_fronts(invented, "cifar10", cells, scores)
    best: dict[int, int] = {}
    for n, size in enumerate(params.tolist()):
        if size not in best or truth[n] > truth[best[size]]:
            best[size] = n
    expected = {
        "oracle": [cells[n] for n in best.values()],
        EVERY: cells,
        BOTH: [
            cell
            for cell, kept in zip(
                cells,
                non_dominated(np.stack([clean, truth, params], 1), (True, True, False)),
                strict=True,
            )
            if kept
        ],
    }
    for name, picked in expected.items():
        ratio = found_against_true(invented, picked, "cifar10")["hypervolume_ratio"]
        assert found[name]["cells"] == len(picked)
        assert found[name]["hypervolume_ratio"] == pytest.approx(ratio)
    # What is the same for all cells of a size picks nothing.
    assert set(found) == {*expected, CHANCE, "supernet_clean_loss", "supernet_robust_loss"}
    chance = found[CHANCE]
    assert chance["cells"] == len(best)
    low, high = chance["interval"]
    assert 0 < low < chance["hypervolume_ratio"] < high <= found["oracle"]["hypervolume_ratio"]
    assert found[EVERY]["hypervolume_ratio"] <= 1


def test_as_a_table_best_first() -> None:
    fronts = {
        "a": {"cells": 3, "hypervolume_ratio": 0.5, "interval": [0.4, 0.6]},
        "b": {"cells": 9, "hypervolume_ratio": 0.81234},
    }  # fmt: skip
    text = "\n".join(markdown(fronts, 40))
    assert text.index("| b | 9 | 81.2 % |") < text.index("| a | 3 | 50.0 % [40.0, 60.0] |")
    assert "of 40 random cells" in text
