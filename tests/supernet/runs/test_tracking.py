"""The log of a run: strict JSON lines, events that TensorBoard reads, both cut at a resume."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import read_jsonl
from supernet.runs.tracking import Tracker, tag_of


def _events(run_dir: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run_dir), size_guidance={"scalars": 0, "images": 0})
    return accumulator.Reload()


def _record(epoch: int, loss: float) -> dict[str, Any]:
    return {"epoch": epoch, "step": 10 * epoch, "train_loss": loss, "cell": "333133"}


def test_epoch_is_one_line_and_one_point(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {"seed": 3})
    record = {**_record(1, 2.5), "val_clean_acc": 0.5, "edge_weights": torch.full((2, 1), 0.25)}
    tracker.epoch(record)
    tracker.close()
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line) == {**record, "edge_weights": [[0.25], [0.25]]}
    events = _events(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("loss/train")] == [(10, 2.5)]
    assert [(e.step, e.value) for e in events.Scalars("accuracy/val_clean")] == [(10, 0.5)]
    (config,) = events.Tensors("config/text_summary")
    assert b'"seed": 3' in config.tensor_proto.string_val[0]


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {})
    tracker.epoch({**_record(1, float("nan")), "nested": [{"angle": float("inf")}]})
    tracker.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    record = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert record["train_loss"] is None and record["nested"] == [{"angle": None}]


@pytest.mark.parametrize("line", ['{"epoch": 1}', '{"step": "10"}', '{"step": 1e400}', "[10]"])
def test_a_log_without_steps_cannot_go_on(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 10}}\n{line}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2"):
        Tracker(tmp_path, {}, resume_step=20)
    assert (tmp_path / "metrics.jsonl").read_text().endswith(f"{line}\n")


def test_resume_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {})
    for epoch in (1, 2, 3):
        tracker.epoch(_record(epoch, float(epoch)))
    tracker.close()
    with open(tmp_path / "metrics.jsonl", "a") as stream:
        stream.write('{"epoch": 4, "st')  # killed in the middle of a line
    resumed = Tracker(tmp_path, {}, resume_step=20)
    resumed.epoch(_record(3, 30.0))
    resumed.close()
    assert [r["train_loss"] for r in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 30]
    points = [(e.step, e.value) for e in _events(tmp_path).Scalars("loss/train")]
    assert points == [(10, 1.0), (20, 2.0), (30, 30.0)]


def test_a_resume_under_a_clock_that_was_set_back_hides_the_same_events(tmp_path: Path) -> None:
    for resumed in (None, 10, 10):
        tracker = Tracker(tmp_path, {}, resume_step=resumed)
        for epoch in (1, 2) if resumed is None else (2,):
            tracker.epoch(_record(epoch, epoch + (resumed or 0)))
        tracker.close()
        # As if this had been an hour later than what follows; the files keep their order.
        for number, path in enumerate(sorted(tmp_path.glob("events.*"))):
            stamp, rest = path.name.split(".", 4)[3:]
            later = f"events.out.tfevents.{int(stamp) + 3600 + number:010d}.{rest}"
            path.rename(tmp_path / later)
    points = [(e.step, e.value) for e in _events(tmp_path).Scalars("loss/train")]
    assert points == [(10, 1.0), (20, 12.0)]
    assert len(list(tmp_path.glob("events.*"))) == 3


def test_edge_weights_are_curves_and_a_picture(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {})
    w_EO = torch.arange(30.0).view(6, 5) / 100
    tracker.edge_weights(w_EO, Genotype.parse("333133"), 10)
    tracker.close()
    events = _events(tmp_path)
    # Row 3 is the edge from node 0 to node 3, column 1 the skip.
    assert events.Scalars("edges/0-3_skip_connect")[0].value == pytest.approx(0.16)
    assert len([tag for tag in events.Tags()["scalars"] if tag.startswith("edges/")]) == 30
    (picture,) = events.Images("edge_weights")
    assert picture.encoded_image_string.startswith(b"\x89PNG")
    assert picture.width == 700  # twice what TensorBoard shows, on which its text can be read
    assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_cell_is_drawn_when_it_changes(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {})
    for step, code in enumerate(["333133", "333133", "333333"]):
        tracker.cell(Genotype.parse(code), step)
    tracker.close()
    events = _events(tmp_path)
    assert [image.step for image in events.Images("cell")] == [0, 2]
    texts = [t.tensor_proto.string_val[0] for t in events.Tensors("cell/text_summary")]
    assert b"code 333133" in texts[0] and b"code 333333" in texts[1]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("train_loss", "loss/train"),
        ("val_robust_acc", "accuracy/val_robust"),
        ("test_robust_acc", "accuracy/test_robust"),
        ("step_seconds", "speed/step_seconds"),
        ("conflict_angle_deg", "alpha/conflict_angle_deg"),
        ("lr", "optimiser/lr"),
        ("anything", "search/anything"),
        ("given/as_is", "given/as_is"),
    ],
)
def test_tags_group_by_meaning(name: str, tag: str) -> None:
    assert tag_of(name) == tag
