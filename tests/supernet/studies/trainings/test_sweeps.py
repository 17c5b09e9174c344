"""Kept sweeps, chosen anew at other weights: two cells whose losses contradict their standing."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.proxies.standing import LOSS_WEIGHT
from supernet.studies.evidence.records import FORMAT
from supernet.studies.trainings.sweeps import (
    WEIGHTS,
    _choices,
    judged_all,
    judged_sweeps,
    markdown,
    read_sweeps,
)

BETTER, WORSE = "333123", "333333"
SWEEP = {
    "start": None, "chosen": BETTER, "standings": {BETTER: 1.6, WORSE: 1.0},
    "losses": [{BETTER: 2.0, WORSE: 1.0}, {BETTER: 1.0, WORSE: 2.0}],
}  # fmt: skip
RUN: dict[str, Any] = {
    "dataset": "cifar10", "row": "main", "budget": None, "seed": 5, "flags": "",
    "config_hash": "0", "sweeps": [SWEEP],
}  # fmt: skip


def _evidence(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"format": FORMAT, "note": None, "runs": list(runs)}


def _lacks(table: Table, code: str) -> float:
    values = table.values("cifar10", "pgd_8")
    better, cell = (values[table.row(Genotype.parse(each))] for each in (BETTER, code))
    return float(better - cell)


def test_from_which_weight_on_losses_decide(real: Table) -> None:
    records = judged_sweeps(_evidence(RUN), real)
    assert len(records) == 2 * (2 * len(WEIGHTS) + 1)
    found, same = (
        {(record["round"], record["weight"]): record for record in records if record["of"] == of}
        for of in ("proposals", "all")
    )
    assert {key: {**each, "of": "all"} for key, each in found.items()} == same
    lacks = _lacks(real, WORSE)
    assert 0.001 < lacks < 0.01
    # The standings differ by 0.6.
    for weight, expected in ((0.0, 0.0), (0.5, 0.0), (1.0, lacks), (None, lacks)):
        record = found["first", weight]
        assert record["sweeps"] == 1
        assert record["mean"] == record["most"] == pytest.approx(expected)
        assert found["last", weight]["mean"] == 0
    assert found["none", 0.0]["mean"] == 0


def test_at_their_own_weight_the_kept_sweeps_choose_what_they_chose() -> None:
    root = Path(__file__).parents[4]
    evidence = read_sweeps(root / "docs" / "results" / "search" / "evidence" / "evidence.json")
    sweeps = [sweep for run in evidence["runs"] for sweep in run.get("sweeps", ())]
    found = [
        {(name, weight): cell for name, weight, cell in _choices(sweep)}["last", LOSS_WEIGHT]
        for sweep in sweeps
    ]
    assert len(found) > 80 and found == [sweep["chosen"] for sweep in sweeps]


def test_shared_sweeps_count_once_and_budgets_not_at_all(real: Table) -> None:
    other = copy.deepcopy(RUN)
    other["sweeps"][0]["losses"][0][WORSE] = 3.0
    small = {**RUN, "budget": "0.4M", "dataset": "cifar100"}
    records = judged_sweeps(_evidence(RUN, {**RUN, "row": "both"}, other, small), real)
    assert {(record["dataset"], record["sweeps"]) for record in records} == {("cifar10", 2)}
    mean = next(r["mean"] for r in records if (r["round"], r["weight"]) == ("first", None))
    assert mean == pytest.approx(_lacks(real, WORSE) / 2)
    around = {**RUN, "sweeps": [{**SWEEP, "start": "333313"}], "row": "free"}
    record = judged_all(_evidence(RUN, other, around), real)
    page = markdown(record)
    head = "| images | sweeps of | round | sweeps | 0 | 0.1 | 0.3 | 0.5 | 1 | 2 | losses alone |"
    assert head in page
    assert "| CIFAR-10 | all | last | 3 | 0.00 (0.00) |" in page
    assert "| CIFAR-10 | proposals | last | 2 |" in page
    assert "| CIFAR-10 | neighbours | last | 1 |" in page
    assert [(each["of"], each["sweeps"]) for each in record["other_sums"]] == [
        ("proposals", 2), ("neighbours", 1),
    ]  # fmt: skip
    with pytest.raises(UserError, match="no sweep with its losses is kept there"):
        judged_sweeps(_evidence(small), real)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("standings", "933333"), 1.0),
        (("standings",), {BETTER: 1.0}),
        (("losses",), []),
        (("losses",), [{}]),
        (("losses",), [{BETTER: "low"}]),
        (("start",), "all"),
    ],
)
def test_a_sweep_that_is_not_one_is_named(
    place: tuple[str, ...], value: object, tmp_path: Path
) -> None:
    run = copy.deepcopy(RUN)
    part = run["sweeps"][0]
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(_evidence(RUN)))
    assert read_sweeps(path)["runs"][0]["sweeps"] == [SWEEP]
    path.write_text(json.dumps(_evidence(run)))
    with pytest.raises(UserError, match=r"evidence\.json is not as this program writes it"):
        read_sweeps(path)
