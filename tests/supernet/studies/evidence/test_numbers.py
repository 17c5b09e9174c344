"""Numbers of several seeds in words."""

from supernet.report.words import points
from supernet.studies.evidence.numbers import count, minutes, paired, spread


def test_two_ranks_have_a_half_between_them() -> None:
    assert spread([900, 301], count) == "600.5 (301..900)"
    assert spread([1717], count) == "1,717"


def test_values_that_read_alike_are_written_once() -> None:
    assert spread([0.12341, 0.12339, 0.1234], points) == "12.34"


def test_minutes() -> None:
    assert [minutes(s) for s in (0, 95, 590, 600, 66_000)] == ["0", "1.6", "9.8", "10", "1,100"]


def test_paired_differences() -> None:
    assert paired([0.01, -0.02, 0.0, 0.004]) == (
        "better in 2 of 4, worse in 1, as good in 1; median difference +0.20 points"
    )
    assert paired([-0.0131]) == "-1.31 points"
