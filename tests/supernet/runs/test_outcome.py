"""What TensorBoard gets of a finished search is what its files say."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from supernet import progress
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report.run_files import RunFiles
from supernet.runs.outcome import log_outcome, refinement_values, result_values
from supernet.runs.tracking import Tracker
from tests.supernet.report.runs import write_run
from tests.supernet.report.test_finalists import record as finalists_record
from tests.supernet.report.test_refinement import RECORD as REFINEMENT

record = finalists_record


@pytest.fixture
def folder(tmp_path: Path, invented: Table, record: dict[str, object]) -> Path:
    """A finished search with a refinement and finalists."""
    folder = write_run(tmp_path / "run", invented)
    description = json.loads((folder / "config.json").read_text())
    description["config"] |= {"refine_steps": [50, 100], "refine_attack": "none"}
    (folder / "config.json").write_text(json.dumps(description))
    (folder / "refine.json").write_text(json.dumps(REFINEMENT))
    (folder / "finalists.json").write_text(json.dumps(record))
    return folder


def test_runs_are_compared_by_size_place_and_what_the_answer_reached(
    folder: Path, invented: Table
) -> None:
    run = RunFiles.read(folder, invented)
    entry = run.query(run.cell)
    values = result_values(run)
    assert values == {
        "params": run.cell.params(), "flops": run.cell.flops(),
        "pgd_8": entry["results"]["cifar10"]["pgd_8"], "rank": entry["ranks"]["cifar10"]["pgd_8"],
        "finalist_clean": pytest.approx(0.4), "finalist_robust": pytest.approx(0.3),
    }  # fmt: skip
    (folder / "finalists.json").unlink()
    assert set(values) - set(result_values(run)) == {"finalist_clean", "finalist_robust"}


def test_each_sweep_has_the_loss_of_its_choice_after_the_longest_trainings(
    folder: Path, invented: Table
) -> None:
    first, second = refinement_values(RunFiles.read(folder, invented))
    assert first["refinement/held_out_loss"] == 2.25  # of 333333
    assert second["refinement/held_out_loss"] == 1.7  # of 333123, in the last round
    assert second["refinement/params"] == Genotype.parse("333123").params()
    (folder / "refine.json").unlink()
    assert refinement_values(RunFiles.read(folder, invented)) == []


def test_the_events_hold_tables_curves_and_the_page_of_settings(
    folder: Path, invented: Table, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    tracker = Tracker(folder, {"seed": 4}, resume_step=150)
    log_outcome(tracker, folder, invented, 150)
    tracker.close()
    assert capsys.readouterr().err.splitlines()[-1] == "TensorBoard: 3 of 3 parts"
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()
    points = [(e.step, e.value) for e in events.Scalars("refinement/held_out_loss")]
    assert points == [(0, 2.25), (1, pytest.approx(1.7))]
    texts = {
        name: events.Tensors(f"answer/{name}/text_summary")[-1].tensor_proto.string_val[0].decode()
        for name in ("refinement", "finalists")
    }
    assert "333333 -> 333123" in texts["refinement"] and "| `333133` |" in texts["refinement"]
    assert "| answer | `333133` |" in texts["finalists"]
    start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    shown = HParamsPluginData.FromString(start).session_start_info.hparams
    assert shown["strategy"].string_value == "darts" and shown["seed"].number_value == 4
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = HParamsPluginData.FromString(content).experiment
    compared = [info.name.tag.removeprefix("result/") for info in experiment.metric_infos]
    assert compared == ["params", "pgd_8", "rank", "finalist_robust", "finalist_clean", "flops"]
    known = experiment.hparam_infos
    shown_first = {setting.name for setting in known if setting.differs}
    assert shown_first == {"dataset", "epochs", "seed", "strategy"}  # this run has no objective
    assert events.Scalars("result/finalist_robust")[0].value == pytest.approx(0.3)
