"""What the figures show."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from supernet.benchmark.correlation import judge
from supernet.studies.ranking.figures import (
    column_label,
    draw_coefficients,
    draw_scatter,
    draw_spectra,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.slow
def test_scatter_separates_random_and_added_cells(tmp_path: Path) -> None:
    truth = RANDOM.random(60)
    scores = {"one": truth, "flat": np.ones(60), "noise": RANDOM.random(60)}
    marked = np.arange(60) < 40
    rows = {name: judge(s, truth, truth, marked, repeats=5) for name, s in scores.items()}
    figure = draw_scatter(scores, truth, marked, rows, "pgd_8", tmp_path / "scatter")
    first, flat, _ = (axes for axes in figure.axes if axes.get_visible())
    assert [len(line.get_xdata()) for line in first.lines] == [40, 20]
    assert np.allclose(np.sort(first.lines[0].get_ydata()), np.sort(100 * truth[:40]))
    assert first.get_title() == "one  τ = 1.00" and flat.get_title() == "flat"
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png"}


def test_coefficients_show_both_regions_sorted() -> None:
    truth = RANDOM.random(400)
    scores = {"bad": -truth, "good": truth, "flat": np.ones(400)}
    rows = {name: judge(s, truth, truth, repeats=20) for name, s in scores.items()}
    figure = draw_coefficients(rows, "clean")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["flat", "bad", "good"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["all cells (n = 400)", "top 10 % (n = 40)"]


def test_a_coefficient_of_exactly_zero_is_no_missing_one() -> None:
    truth = RANDOM.random(40)
    row = judge(truth, truth, truth, repeats=5)

    def with_tau(tau: float | None) -> dict[str, Any]:
        estimate = {**row["all"]["kendall"], "value": tau, "low": tau, "high": tau}
        return {**row, "all": {**row["all"], "kendall": estimate}}

    rows = {"bad": with_tau(-0.5), "zero": with_tau(0.0), "none": with_tau(None)}
    (axes,) = draw_coefficients(rows, "clean").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "bad", "zero"]


def test_spectra_fall_and_leave_out_zeros() -> None:
    values = torch.tensor([0.0, 1.0, 3.0])
    (axes,) = draw_spectra({"333333": {"clean": values, "robust": 2 * values}}).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[3, 1], [6, 2]]
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("pgd_8", "PGD-20 8/255"),
        ("standard:aa_square", "aa_square, standard-trained"),
        ("cifar100:clean", "clean accuracy, CIFAR-100"),
    ],
)
def test_column_labels(column: str, words: str) -> None:
    assert column_label(column) == words
