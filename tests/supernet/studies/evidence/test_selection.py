"""Which records stand in a line."""

from supernet.studies.evidence.plan import config_of
from supernet.studies.evidence.selection import earlier, lines_of, missing, records_of
from tests.supernet.studies.evidence.invented_evidence import evidence, run


def test_a_row_has_a_line_for_each_of_its_guides() -> None:
    some = evidence()
    found = [(x.row, x.guide, [r["seed"] for r in x.records]) for x in lines_of(some, "cifar10")]
    assert found == [
        ("main", "answer", [5, 6, 7]), ("main", "gains", [5, 6, 7]), ("free", "answer", [6]),
    ]  # fmt: skip
    assert lines_of(some, "imagenet16-120") == []


def test_cells_of_a_line_are_by_its_guide() -> None:
    answers, gains = lines_of(evidence(), "cifar10")[:2]
    assert [cell["code"] for cell in answers.cells] == ["333333", "333323", "333131"]
    assert [cell["code"] for cell in gains.cells] == ["333133", "333132", "333131"]


def test_records_of_a_row_and_a_budget() -> None:
    some = evidence()
    assert [r["seed"] for r in records_of(some, "cifar10", "main")] == [5, 6, 7]
    assert [r["seed"] for r in records_of(some, "cifar10", "main", seeds=(6, 0))] == [6]
    assert records_of(some, "cifar10", "within") == []
    assert len(records_of(some, "cifar10", "within", budget="0.4M")) == 2
    assert records_of(some, "imagenet16-120", "main") == []


def test_what_is_missing_is_named_once() -> None:
    assert missing(evidence()) == [
        "`main` seed 8 on cifar10", "`free` seed 5 on cifar10",
        "`free` seeds 5, 6 on imagenet16-120", "`prior` seed 5 on cifar10",
        "`within` 0.4M seed 7 on cifar10", "`within` 0.8M seeds 5 to 7 on cifar10",
    ]  # fmt: skip
    some = evidence()
    cell = some["runs"][0]["cells"]["gains"]
    some["runs"] = [run("within", 7, cell, cell, budget=b) for b in ("0.4M", "0.8M")]
    assert "`within` 0.4M, 0.8M seeds 5, 6 on cifar10" in missing(some)


def test_runs_of_another_config_are_named() -> None:
    some = evidence()
    for each in some["runs"]:
        each.update(
            flags="--epochs 0", config_hash=config_of(["--epochs", "0"], each["seed"]).hash()
        )
    assert earlier(some) == []
    some["runs"][0]["config_hash"] = "0123456789ab"  # a default has changed
    some["runs"][3].update(dataset="cifar100", flags="--gone 3")
    some["runs"].append({**some["runs"][3], "dataset": "cifar10"})
    assert earlier(some) == ["`main` on cifar10", "`free` on cifar100, cifar10"]
