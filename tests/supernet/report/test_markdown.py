"""Numbers and tables in Markdown."""

import pytest

from supernet.report.markdown import duration, percent, pixels, table


def test_pipes_in_cells_are_escaped() -> None:
    assert table(["a", "b"], [["|x~0|", "1"]]).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| \\|x~0\\| | 1 |",
    ]


def test_unknown_is_a_dash() -> None:
    assert percent(None) == "-" and percent(0.47794) == "47.79 %"


@pytest.mark.parametrize(("eps", "text"), [(8 / 255, "8/255"), (0.1, "0.1"), (32 / 255, "32/255")])
def test_radii_are_named_as_in_papers(eps: float, text: str) -> None:
    assert pixels(eps) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.3, "< 1 s"), (9.6, "10 s"), (95, "1 min 35 s"), (3660, "1 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
