"""Tables in Markdown."""

from supernet.report.markdown import table


def test_pipes_in_cells_are_escaped() -> None:
    assert table(["a", "b"], [["|x~0|", "1"]]).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| \\|x~0\\| | 1 |",
    ]
