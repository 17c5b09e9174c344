"""The refinement of a run: its record, what it resumes from, its processes."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from supernet.benchmark.load import shipped_table
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.randomness import Randomness
from supernet.runs.refinement import AROUND, LEDGER, Refinement, sentence
from supernet.search.config import SearchConfig
from supernet.search.derive import restriction
from supernet.search.halves import Halves
from supernet.search.proposals import Proposals, propose
from supernet.search.refine import Sweep
from supernet.train import side_by_side
from supernet.train.short import Outcome, Recipe

NO_GAINS = torch.zeros(6, 5, dtype=torch.float64)
ALL_3X3 = Genotype((3,) * 6)
CONFIG = SearchConfig(
    robust=True, dataset="cifar10", epochs=0, refine_steps=(1, 2), refine_moves=1, processes=1,
    proposals=("333333",),
)  # fmt: skip


def proposals_for(config: SearchConfig) -> Proposals:
    return propose(
        shipped_table(), NO_GAINS, ("cifar100",), follows_prior=False, robust=True,
        allow_none=False, fits=restriction(config.budgets, 10, 32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def images() -> Halves:
    data = load_dataset("digits", limit=100, test_limit=0)
    return Halves(data, 20, Randomness(0, torch.device("cpu")))


def _refinement(config: SearchConfig, images: Halves, folder: Path) -> Refinement:
    fits = restriction(config.budgets, 10, 32)
    return Refinement(config, images, folder, proposals_for(config), fits, quiet=True)


def _measured(cell: Genotype, *rest: object) -> Outcome:
    """A training that costs nothing: the loss counts the 3x3 edges."""
    return Outcome(float(cell.count(3)), 0.5, None, None, 1.0, 2.0)


def test_the_record_has_the_path_and_what_it_cost(
    images: Halves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "train_briefly", _measured)
    record = _refinement(CONFIG, images, tmp_path).run({"given": [ALL_3X3]})
    assert record["proposals"] == {"given": ["333333"]}
    assert [sweep["start"] for sweep in record["sweeps"]] == [None, "333333"]
    first, last = record["sweeps"][1]["rounds"]
    assert len(first["cells"]) == AROUND and set(first["losses"]) == {5.0}
    # The best third by score, and the start, which has the highest loss.
    assert last["cells"][0] == "333333" and len(last["cells"]) == 1 + AROUND // 3
    assert last["losses"] == [6.0, 5.0, 5.0, 5.0]
    assert record["answer"] == record["sweeps"][1]["chosen"] != "333333"
    assert record["trainings"] == AROUND + 4
    assert record["cpu_seconds"] == 2.0 * record["trainings"]
    assert len((tmp_path / LEDGER).read_text().splitlines()) == record["trainings"]


def test_neighbours_are_those_with_the_highest_scores(images: Halves, tmp_path: Path) -> None:
    refinement = _refinement(CONFIG, images, tmp_path)
    scored = refinement.scored
    near = [
        ALL_3X3.replace(edge, op) for edge in range(6) for op in (1, 2, 4)
    ]  # fmt: skip
    best = sorted(near, key=lambda cell: scored.score(cell, "free"), reverse=True)[:AROUND]
    assert {c.code for c in refinement._around(ALL_3X3)} == {c.code for c in best}


def test_every_round_has_its_own_steps_and_seed(
    images: Halves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "train_briefly", _measured)
    config = dataclasses.replace(CONFIG, seed=7)
    _refinement(config, images, tmp_path).run({"given": [ALL_3X3]})
    lines = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert {(line["steps"], line["seed"]) for line in lines} == {(1, 7000), (2, 7001)}
    assert {(line["N"], line["C"], line["attack"]) for line in lines} == {(5, 16, "none")}


def test_an_attacked_judge_compares_losses_under_attack(
    images: Halves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(cell: Genotype, data: object, recipe: Recipe, seed: int) -> Outcome:
        assert recipe.attack == "n_fgsm"
        return Outcome(1.0, 0.5, float(cell.ops[3] != 1), 0.5, 1.0, 2.0)

    monkeypatch.setattr(side_by_side, "train_briefly", measured)
    config = dataclasses.replace(CONFIG, refine_attack="n_fgsm")
    assert _refinement(config, images, tmp_path).run({"given": [ALL_3X3]})["answer"] == "333133"


def test_what_was_trained_before_is_not_trained_again_and_counts(
    images: Halves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "train_briefly", _measured)
    whole = _refinement(CONFIG, images, tmp_path).run({"given": [ALL_3X3]})
    lines = (tmp_path / LEDGER).read_text().splitlines(keepends=True)
    (tmp_path / LEDGER).write_text("".join(lines[:5]))
    again = []
    monkeypatch.setattr(
        side_by_side, "train_briefly", lambda *given: (again.append(given), _measured(*given))[1]
    )
    assert _refinement(CONFIG, images, tmp_path).run({"given": [ALL_3X3]}) == whole
    assert len(again) == whole["trainings"] - 5


@pytest.mark.slow
def test_two_processes_lead_to_what_one_does(images: Halves, tmp_path: Path) -> None:
    records = []
    for count in (1, 2):
        config = dataclasses.replace(CONFIG, processes=count)
        folder = tmp_path / str(count)
        folder.mkdir()
        record = _refinement(config, images, folder).run({"given": [ALL_3X3]})
        records.append({**record, "cpu_seconds": 0})
    assert records[0] == records[1]
    assert records[0]["trainings"] == AROUND + 4


def test_a_sweep_in_a_sentence() -> None:
    cell = Genotype.parse("333133")
    assert sentence(Sweep(None, (), cell)) == "refine   starts from 333133"
    assert sentence(Sweep(ALL_3X3, (), cell)) == "refine   333333 -> 333133"
    assert sentence(Sweep(cell, (), cell)) == "refine   stays at 333133: no neighbour is better"
