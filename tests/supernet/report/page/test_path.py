"""The chart of a refinement: its axes, whatever the losses are."""

import copy
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.report.page.path import path_chart
from supernet.report.run_files import RunFiles
from tests.supernet.report.page.conftest import set_config
from tests.supernet.report.runs import write_run
from tests.supernet.report.test_refinement import RECORD


@pytest.fixture
def run(tmp_path: Path, invented: Table) -> RunFiles:
    folder = write_run(tmp_path, invented)
    set_config(folder, refine_steps=[50, 100], refine_attack="none")
    return RunFiles.read(folder, invented)


def test_sweeps_stand_side_by_side(run: RunFiles) -> None:
    for panel in path_chart(run, RECORD)["panels"]:
        axis = panel["layout"]["xaxis"]
        assert axis["ticktext"] == ["proposals", "from 333333"] and axis["tickvals"] == [0, 1]
        first, second = panel["traces"][-1]["x"]
        assert first == pytest.approx(-0.2) and second == pytest.approx(0.775)


def test_one_great_loss_does_not_press_the_others_into_a_line(run: RunFiles) -> None:
    losses, accuracies = path_chart(run, RECORD)["panels"]
    assert "type" not in losses["layout"]["yaxis"]
    record = copy.deepcopy(RECORD)
    record["sweeps"][0]["rounds"][0]["losses"][0] = 281.9
    losses, accuracies = path_chart(run, record)["panels"]
    assert losses["layout"]["yaxis"]["type"] == "log"
    assert "type" not in accuracies["layout"]["yaxis"]


def test_a_sweep_that_trained_nothing_is_left_out(run: RunFiles) -> None:
    record = copy.deepcopy(RECORD)
    record["sweeps"].append({"start": "333123", "chosen": "333123", "rounds": []})
    assert path_chart(run, record) == path_chart(run, RECORD)
