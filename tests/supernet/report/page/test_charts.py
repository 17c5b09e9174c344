"""Charts are what plotly accepts, and follow the figures' names and the epochs."""

import json
import re
from typing import Any

import plotly.graph_objects as go
import pytest

from supernet.report.page import charts
from tests.supernet.report.page.reading import Reading


@pytest.mark.slow
def test_plotly_accepts_every_chart(page: Reading) -> None:
    """graph_objects knows every property and raises for others."""
    text = re.sub(r"var\(--\w+\)", "#123456", json.dumps(page.data["charts"]))
    panels = [panel for chart in json.loads(text).values() for panel in chart["panels"]]
    assert len(panels) > 12
    for panel in panels:
        go.Figure(data=panel["traces"], layout=panel["layout"])


def test_colours_are_variables_that_the_page_has_in_light_and_dark(page: Reading) -> None:
    used = set(re.findall(r"var\((--\w+)\)", json.dumps(page.data)))
    light, dark = page.scripts["style"].split("@media", 2)[:2]
    assert used and all(f"{name}:" in light and f"{name}:" in dark for name in used)
    assert not re.search(r'"color":"(?!var)', page.scripts["data"])


def _epochs(count: int) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "train_loss": 1 / epoch} for epoch in range(1, count + 1)]


@pytest.mark.parametrize(("count", "step"), [(1, 1), (8, 1), (9, 2), (40, 5), (41, 10), (300, 50)])
def test_epochs_are_named_by_whole_numbers(count: int, step: int) -> None:
    (panel,) = charts.curves(_epochs(count))["panels"]
    assert panel["layout"]["xaxis"]["dtick"] == step


def test_a_single_epoch_is_a_point() -> None:
    (panel,) = charts.curves(_epochs(1))["panels"]
    (trace,) = panel["traces"]
    assert (trace["mode"], trace["x"], trace["y"]) == ("markers", [1], [1.0])


def test_metrics_that_are_absent_make_no_panel() -> None:
    assert charts.curves([{"epoch": 1, "val_clean_acc": None}])["panels"] == []


def test_an_eighth_run_has_the_colour_of_the_first() -> None:
    colours = [charts.colour_of(number) for number in range(8)]
    assert len(set(colours[:7])) == 7 and colours[7] == colours[0]


def test_finalists_of_a_clean_search_have_no_attack() -> None:
    cell = {"names": ["answer"], "clean": [0.5, 0.25], "robust": None}
    (panel,) = charts.finalists({"eps": None, "cells": [cell]})["panels"]
    assert [trace["name"] for trace in panel["traces"]] == ["clean"]
    assert panel["traces"][0]["x"] == [0.5, 0.25]
