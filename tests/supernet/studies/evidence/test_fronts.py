"""The section on fronts says what the records of searches say."""

import pytest

from supernet.studies.evidence.fronts import section
from tests.supernet.studies.evidence.invented_evidence import evidence, front, lines_of


def test_a_line_per_guide_then_what_needs_no_search() -> None:
    some = evidence()
    assert section(some, "") == ["## Fronts", "No search has been run yet."]
    some["runs"][1]["front"] = front(0.92, 0.95, random=[0.91, 0.94], synflow=[0.956, 0.97])
    some["runs"][2]["front"] = front(0.90, 0.95, random=[0.92, 0.94], synflow=[0.956, 0.97])
    some["runs"][3]["front"] = front(0.9, 0.93, random=[0.5, 0.6])
    some["runs"][0]["front"] = front(0.97, 0.98) | {"picked_by": "prior"}
    some["runs"][4]["front"] = front(0.1, 0.2)  # within a budget: no front of all sizes
    text = "\n\n".join(section(some, ""))
    assert lines_of(text, "| images |")[0].endswith("| one of each size | 3 of each size |")
    assert lines_of(text, "| CIFAR-10 |") == [
        "| CIFAR-10 | prior alone | `main` | 1 | 97.00 | 98.00 |",
        "| CIFAR-10 | free scores | `main`, `free` | 3 | 90.00 (90.00..92.00) "
        "| 95.00 (93.00..95.00) |",
        "| CIFAR-10 | random cells |  |  | 91.00 (50.00..92.00) | 94.00 (60.00..94.00) |",
        "| CIFAR-10 | synflow alone |  |  | 95.60 | 97.00 |",
    ]
    assert lines_of(text, "| a stand-in |") == []


@pytest.mark.parametrize("folder", ["", "search/evidence"])
def test_the_first_seed_of_main_is_drawn(folder: str) -> None:
    some = evidence()
    some["runs"][0]["front"] = front(0.92, 0.95)
    pictures = lines_of("\n\n".join(section(some, folder)), "![")
    where = f"{folder}/" if folder else ""
    assert pictures == [f"![The front of main, CIFAR-10, seed 5]({where}fronts/cifar10.png)"]
    some["runs"] = some["runs"][1:]
    some["runs"][0]["front"] = front(0.92, 0.95)
    assert lines_of("\n\n".join(section(some, folder)), "![") == []
