"""The plan: its order, its restrictions, and that search.py knows its flags."""

import dataclasses
import shlex
from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.files import read_json
from supernet.search.config import with_preset
from supernet.studies.evidence.plan import ROWS, runs_of

ROOT = Path(__file__).parents[4]


def test_every_row_changes_what_it_says_and_nothing_else() -> None:
    base = with_preset("cpu", dict(robust=True, dataset="cifar10"), cuda=False)
    changes = {
        "main": {},
        "clean": {"robust": False},
        "no-beta-decay": {"beta_decay": 0.0},
        "weighted": {"robust_weight": 0.5},
        "mgda": {"objective": "mgda"},
        "pgd": {"attack": "pgd"},
        "longer": {"epochs": 8},
    }
    runs = [run for run in runs_of(ROWS, "", (), ()) if run.seed == 0]
    assert {run.row.name for run in runs} == set(changes)
    for run in runs:
        expected = dataclasses.replace(base, **changes[run.row.name])  # type: ignore[arg-type]
        assert run.config() == expected, run.name
    configs = [run.config() for run in runs]
    assert len({config.hash() for config in configs}) == len(ROWS), "a row repeats another"


def test_the_committed_runs_are_those_of_the_plan() -> None:
    records = read_json(ROOT / "docs/results/search/evidence/evidence.json")["runs"]
    flags = {(run.row.name, run.seed): shlex.join(run.flags) for run in runs_of(ROWS, "", (), ())}
    assert {(r["row"], r["seed"]): r["flags"] for r in records} == flags


def test_seed_by_seed_through_all_rows() -> None:
    names = [run.name for run in runs_of(ROWS, "", (), ())]
    assert names[:2] == ["main-seed0", "clean-seed0"]
    assert names[-2:] == ["main-seed8", "main-seed9"]
    assert len(names) == 10 + 5 * 3 + 2
    some = runs_of(ROWS, "", ("mgda", "main"), (1, 4))
    assert [run.name for run in some] == ["main-seed1", "mgda-seed1", "main-seed4"]
    assert [run.config().seed for run in some] == [1, 1, 4]


def test_more_flags_come_before_the_rows_own() -> None:
    more = "--batch-size 32 --beta-decay 2"
    by_name = {run.name: run.config() for run in runs_of(ROWS, more, (), (0,))}
    assert all(config.batch_size == 32 for config in by_name.values())
    assert by_name["main-seed0"].beta_decay == 2
    assert by_name["no-beta-decay-seed0"].beta_decay == 0


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (("mgd",), (), "row 'mgd' is unknown; choose from main, clean"),
        ((), (10,), "seed 10 is not in the plan; its seeds are 0 to 9"),
    ],
)
def test_what_the_plan_does_not_have(
    names: tuple[str, ...], seeds: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        runs_of(ROWS, "", names, seeds)


def test_a_flag_that_search_does_not_know() -> None:
    with pytest.raises(UserError, match="unrecognized arguments: --epoch 3"):
        runs_of(ROWS, "--epoch 3", (), ())[0].config()
