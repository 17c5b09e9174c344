"""The plan: its order, its restrictions, and that search.py knows its flags."""

import dataclasses
import shlex
from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.files import read_json
from supernet.search.config import SearchConfig
from supernet.search.presets import with_preset
from supernet.studies.evidence.plan import ROWS, Row, runs_of, shown
from supernet.studies.evidence.records import key_of

ROOT = Path(__file__).parents[4]
ALONE = {"epochs": 0, "prior": ("tables",), "proposals": ("prior",)}


def base(dataset: str, **more: object) -> SearchConfig:
    given = {"robust": True, "prior": ("none",), "dataset": dataset, "seed": 5, **more}
    return with_preset("cpu", given, cuda=False)


def test_every_row_changes_what_it_says_and_nothing_else() -> None:
    changes: dict[str, dict[str, object]] = {
        "main": {},
        "supernet": {"proposals": ("supernet",)},
        "free": {"epochs": 0},
        "free-8": {"epochs": 0, "refine_moves": 0},
        "both": {"epochs": 0, "prior": ("tables",)},
        "prior": ALONE,
        "from-333333": {"epochs": 0, "proposals": ("333333",)},
        "from-random": {"epochs": 0, "proposals": ("random",)},
        "clean": {"robust": False},
        "deep": {"N": 5, "epochs": 8, "proposals": ("supernet",), "refine_moves": 0},
        "free-budgets": {"epochs": 0},
        "prior-budgets": {"epochs": 0, "prior": ("tables",)},
        "trained-budgets": {"epochs": 0, "proposals": ("free",)},
    }
    runs = runs_of(ROWS, images=("cifar10",), seeds=(5,))
    assert list(dict.fromkeys(run.row.name for run in runs)) == list(changes)
    for run in runs:
        limit = {} if run.budget is None else {"max_params": float(run.budget[:-1]) * 1e6}
        expected = base("cifar10", **changes[run.row.name], **limit)
        assert run.config() == expected, run.name
    configs = {run.config().hash() for run in runs}
    assert len(configs) == len(runs), "a row repeats another"


def test_the_images_of_the_three_data_sets() -> None:
    configs = [run.config() for run in runs_of(ROWS, names=("main",), seeds=(5,))]
    assert configs == [
        base("cifar10"), base("cifar100", epochs=20), base("imagenet16-120", shrink=1, epochs=8)
    ]  # fmt: skip
    # The row's own flags win over those of the images.
    assert all(run.config().epochs == 0 for run in runs_of(ROWS, names=("free",), seeds=(5,)))


def test_a_prior_is_of_the_other_data_sets() -> None:
    priors = [run.config().prior_datasets for run in runs_of(ROWS, names=("both",), seeds=(5,))]
    assert priors == [
        ("cifar100", "imagenet16-120"), ("cifar10", "imagenet16-120"), ("cifar10", "cifar100")
    ]  # fmt: skip


def test_the_committed_runs_are_those_of_the_plan() -> None:
    records = read_json(ROOT / "docs/results/search/evidence/evidence.json")["runs"]
    flags = {run.key: shlex.join(run.flags) for run in runs_of(ROWS)}
    assert {key_of(r): r["flags"] for r in records}.items() <= flags.items()


def test_held_out_seeds_first_and_a_group_at_a_time() -> None:
    runs = runs_of(ROWS)
    groups = list(dict.fromkeys(run.group for run in runs))
    assert groups[:4] == [
        ("cifar10", 5), ("cifar100", 5), ("imagenet16-120", 5), ("cifar10", 6)
    ]  # fmt: skip
    assert [seed for name, seed in groups if name == "cifar10"] == [5, 6, 7, 8, 9]
    assert [run.group for run in runs] == sorted((r.group for r in runs), key=groups.index)
    assert runs[0].name == "cifar10/main-seed5"
    assert len({run.name for run in runs}) == len(runs)


def test_a_budget_is_a_search_of_its_own() -> None:
    row = Row("within", "", seeds=(5,), images=("cifar10",), budgets=("0.2M",))
    (run,) = runs_of((row,))
    assert run.name == "cifar10/within-0.2M-seed5"
    assert run.flags[-2:] == ("--max-params", "0.2M")


def test_restrictions() -> None:
    some = runs_of(ROWS, names=("free", "main"), seeds=(7, 5), images=("cifar100",))
    assert [run.name for run in some] == [
        "cifar100/main-seed7", "cifar100/free-seed7", "cifar100/main-seed5", "cifar100/free-seed5"
    ]  # fmt: skip
    assert runs_of(ROWS, names=("deep",), images=("cifar100",)) == []


def test_more_flags_come_before_the_rows_own() -> None:
    more = "--batch-size 32 --epochs 3"
    by_row = {run.row.name: run.config() for run in runs_of(ROWS, more, seeds=(5,))}
    assert all(config.batch_size == 32 for config in by_row.values())
    assert by_row["main"].epochs == 3 and by_row["free"].epochs == 0


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (("mian",), (), "row 'mian' is unknown; choose one of main, supernet, free"),
        ((), (10,), "seed 10 is not in the plan, which has seeds 5 to 9"),
    ],
)
def test_what_the_plan_does_not_have(
    names: tuple[str, ...], seeds: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        runs_of(ROWS, names=names, seeds=seeds)


def test_a_flag_that_search_does_not_know() -> None:
    with pytest.raises(UserError, match="unrecognized arguments: --epoch 3"):
        runs_of((Row("a", "b"),), "--epoch 3")[0].config()


def test_seeds_in_words() -> None:
    assert shown([2, 0, 1, 5]) == "seeds 0 to 2, 5"
    assert shown([6, 5]) == "seeds 5, 6"
    assert shown([9]) == "seed 9"


def test_a_run_is_its_row_images_seed_and_budget() -> None:
    run = runs_of(ROWS, names=("trained-budgets",), seeds=(6,))[0]
    assert run.key == ("cifar10", "trained-budgets", "0.4M", 6)
    assert dataclasses.replace(run, budget=None).name == "cifar10/trained-budgets-seed6"
