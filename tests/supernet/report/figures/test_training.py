"""Learning curves: the right numbers, no empty panels."""

import pytest

from supernet.report.figures import training_curves

RECORDS = [
    {"epoch": 1, "train_loss": 2.0, "val_clean_acc": 0.25, "conflict_angle_deg": None},
    {"epoch": 2, "train_loss": 1.5, "val_clean_acc": 0.5, "conflict_angle_deg": 80.0},
]


def _lines(title: str) -> dict[str, tuple[list[float], list[float]]]:
    panel = next(a for a in training_curves(RECORDS).axes if a.get_title().startswith(title))
    return {
        str(line.get_label()): (line.get_xdata().tolist(), line.get_ydata().tolist())
        for line in panel.lines
    }


def test_accuracies_are_drawn_in_percent() -> None:
    assert _lines("Accuracy") == {"clean": ([1, 2], [25, 50])}


def test_an_epoch_without_a_value_is_left_out() -> None:
    assert _lines("Angle") == {"mean of the epoch": ([2], [80])}


def test_metrics_that_are_not_there_leave_no_panel() -> None:
    titles = [a.get_title() for a in training_curves(RECORDS).axes if a.get_visible()]
    assert len(titles) == 3 and "Edge weights" not in titles


def test_records_without_metrics_are_refused() -> None:
    with pytest.raises(ValueError, match="none of the metrics"):
        training_curves([{"epoch": 1}])
