"""Regret within budgets."""

from supernet.studies.evidence.budgets import section
from tests.supernet.studies.evidence.invented_evidence import evidence, lines_of


def test_a_table_for_each_data_set() -> None:
    text = "\n\n".join(section(evidence()))
    assert lines_of(text, "| CIFAR-10 |") == ["| CIFAR-10 | seeds | 0.4M | 0.8M |"]
    # The row is not of the other data set.
    assert lines_of(text, "| `within` |") == ["| `within` | 2 | 2.50 (2.00..3.00) | - |"]
    assert (
        lines_of(text, "| one of the largest")
        == ["| one of the largest cells that fit (expected) |  | 4.00 | 4.00 |"] * 2
    )
    assert len(lines_of(text, "| the prior's best that fits |  | 1.00 | 1.00 |")) == 2


def test_before_any_search_within_a_budget() -> None:
    some = evidence()
    some["runs"] = [run for run in some["runs"] if run["budget"] is None]
    lines = lines_of("\n\n".join(section(some)), "| `within` |")
    assert lines == ["| `within` | 0 | - | - |"]
