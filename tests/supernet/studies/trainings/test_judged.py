"""The study of short trainings: judges that know the truth, and one that has it upside down."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.errors import UserError
from supernet.studies.trainings import judged
from supernet.studies.trainings.config import StudyConfig
from supernet.studies.trainings.judged import Way, cells_of, judged_all, markdown, train_all
from supernet.train import side_by_side
from supernet.train.short import Outcome, Recipe

STUDY = StudyConfig(steps=(5, 10), seeds=(0,), attacks=("none", "n_fgsm"))


def _outcome(loss: float, attacked: float | None = None) -> Outcome:
    return Outcome(loss, 0.5, attacked, None if attacked is None else 0.25, 2.0, 3.0)


def _record(table: Table, study: StudyConfig = STUDY) -> dict[str, Any]:
    """Clean losses are the truth upside down, those under attack the truth."""
    truth = {cell: table.values("cifar10", "pgd_8")[table.row(cell)] for cell in cells_of(study)}
    outcomes = {
        Way(attack, steps, 0): {
            cell: _outcome(value, None if attack == "none" else 1 - value)
            for cell, value in truth.items()
        }
        for attack in study.attacks for steps in study.steps
    }  # fmt: skip
    record: dict[str, Any] = json.loads(json.dumps(judged_all(study, outcomes, table)))
    return record


def test_a_perfect_measure_finds_the_best_and_its_opposite_the_worst(real: Table) -> None:
    record = _record(real)
    ranks = record["ranks"]
    assert len(ranks) == 19 and ranks["333333"] == 34 and record["best_standing"] == "333133"
    by_name = {
        (line["attack"], line["steps"], line["measure"]): line for line in record["measures"]
    }
    wrong, right = by_name["none", 5, "loss"], by_name["n_fgsm", 10, "loss under attack"]
    assert right["kendall"] == pytest.approx(1) and wrong["kendall"] == pytest.approx(-1)
    assert right["rank"] == min(ranks.values()) and wrong["rank"] == max(ranks.values())
    # A small weight leaves the choice with the standing, a great one takes it.
    assert right["with_standing"][0] == ranks["333133"]
    assert wrong["with_standing"][-1] > 2 * wrong["with_standing"][0]
    assert ("none", 5, "loss under attack") not in by_name
    # All are equally wrong: nothing is ordered, and the first cell is taken.
    same = by_name["none", 5, "error"]
    assert same["kendall"] is None and same["rank"] == 34 and same["cpu_seconds"] == 3


@pytest.mark.slow
def test_schedules_are_refinements(real: Table) -> None:
    record = _record(real)
    ends = {
        (line["attack"], tuple(line["rounds"]), line["around"]): line
        for line in record["schedules"]
    }
    assert len(ends) == 2 * 3 * 2
    # One round of all 18 and the cell; nine, then the best three of them and the cell.
    assert ends["n_fgsm", (5,), 18]["steps"] == 19 * 5
    assert ends["n_fgsm", (5, 10), 9]["steps"] == 9 * 5 + 4 * 10
    assert ends["n_fgsm", (5, 10), 18]["rank_by_losses"] == min(record["ranks"].values())
    # Losses that are upside down like each of 18 neighbours less than ... the worst of all.
    assert ends["none", (5,), 18]["rank_by_losses"] == max(record["ranks"].values())
    assert ends["none", (5,), 9]["rank_by_losses"] <= ends["none", (5,), 18]["rank_by_losses"]


def test_the_page_has_a_line_for_each_measure_and_schedule(real: Table) -> None:
    page = markdown(_record(real))
    assert "333333 (rank 34) and its 18 neighbours on CIFAR-10, shrunk by 2" in page
    assert page.count("| clean | 5 |") == 3 + 2 and page.count("| n_fgsm | 10 | ") == 5 + 2
    assert "| clean | 5 | error | - | 34 |" in page
    assert "| n_fgsm | 5, 10 | 9 |" in page


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Trainings cost nothing and are noted: cell, seed and steps."""
    made = []

    def train(cell: Genotype, data: object, recipe: Recipe, seed: int) -> Outcome:
        made.append((cell.code, seed, recipe.steps))
        return _outcome(float(cell.count(3)))

    data = load_dataset("digits", limit=200, test_limit=0)
    monkeypatch.setattr(judged, "load_images", lambda *_: data)
    monkeypatch.setattr(side_by_side, "train_briefly", train)
    return made


def test_what_is_known_is_not_trained_again(
    trained: list[tuple[str, int, int]], tmp_path: Path
) -> None:
    study = StudyConfig(steps=(1, 2), seeds=(0, 3), processes=1, out=str(tmp_path / "out"))
    outcomes = train_all(study, quiet=True)
    assert len(trained) == len(set(trained)) == 19 * 4
    # The luck of a length is its own, that of a cell is not.
    assert {seed for _, seed, _ in trained} == {0, 1, 3000, 3001}
    cell = Genotype.parse("333133")
    assert outcomes[Way("none", 2, 3)][cell].loss == 5
    trained.clear()
    assert train_all(study, quiet=True) == outcomes and not trained

    other = StudyConfig(steps=(1, 2), shrink=1, processes=1, out=study.out)
    with pytest.raises(UserError, match=r"images.json has other images or steps .* another --out"):
        train_all(other, quiet=True)


def test_the_generator_of_the_caller_is_left_alone(
    trained: list[tuple[str, int, int]], tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    train_all(StudyConfig(steps=(1,), seeds=(0,), processes=1, out=str(tmp_path)), quiet=True)
    assert torch.equal(before, torch.random.get_rng_state()) and len(trained) == 19
