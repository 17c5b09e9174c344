"""Weights that cells inherit: whose they are, and what a judge says of both starts."""

import dataclasses
from pathlib import Path

import pytest
import torch

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.nets.supernet import Supernet
from supernet.search.config import SearchConfig
from supernet.studies.trainings import inherited
from supernet.studies.trainings.config import StudyConfig
from supernet.studies.trainings.inherited import inherit, judged_starts, markdown, train_both
from supernet.studies.trainings.judged import cells_of
from supernet.train.short import Recipe, train_briefly
from tests.supernet.search.test_search import make_search

CELL = Genotype.parse("310243")


@pytest.mark.parametrize("N_saved", [1, 2])
def test_every_cell_has_the_kernels_of_its_stage(N_saved: int) -> None:
    supernet, net = Supernet(C=2, N=N_saved), DerivedNetwork(CELL, C=2, N=3)
    for n, parameter in enumerate(supernet.parameters()):
        parameter.data.fill_(n + 1)
    scale = net.cells[4].edges[0].bn.weight.clone()
    inherit(net, supernet)
    torch.testing.assert_close(net.stem[0].weight, supernet.stem[0].weight)
    torch.testing.assert_close(net.classifier.weight, supernet.classifier.weight)
    for n, cell in enumerate(net.cells):
        source = supernet.cells[n // 3 * N_saved + min(n % 3, N_saved - 1)]
        for e, op in ((0, 3), (3, 2), (5, 3)):
            kernel = source.edges[e].ops[op].conv.weight
            torch.testing.assert_close(cell.edges[e].conv.weight, kernel)
    torch.testing.assert_close(net.cells[4].edges[0].bn.weight, scale)


def test_a_training_starts_from_what_it_was_given() -> None:
    data = load_dataset("digits", limit=100, test_limit=20)
    recipe = Recipe(steps=1, C=2, N=1, batch_size=20)

    def nothing(net: DerivedNetwork) -> None:
        for parameter in net.parameters():
            parameter.data.zero_()

    losses = [train_briefly(CELL, data, recipe, 0, start).train_loss for start in (None, nothing)]
    assert losses[1] == pytest.approx(torch.log(torch.tensor(10.0)).item()) != losses[0]


def test_both_starts_are_trained_once_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: Table
) -> None:
    search, made = make_search(), []
    config = SearchConfig(dataset="cifar10", seed=4)
    search.config = dataclasses.replace(search.config, seed=4)

    def loss(study: StudyConfig, search: object, code: str, steps: int, start: str) -> float:
        made.append((code, steps, start))
        value = real.values("cifar10", "pgd_8")[real.row(Genotype.parse(code))]
        return float(-value if start == "random" else value)

    monkeypatch.setattr(inherited, "config_of", lambda run, given: config)
    monkeypatch.setattr(inherited, "trained", lambda *_: (search, 0.0))
    monkeypatch.setattr(inherited, "_loss", loss)
    study = StudyConfig(steps=(5,), out=str(tmp_path))
    lines = train_both(study, tmp_path, quiet=True)
    assert len(made) == len(lines) == 2 * len(cells_of(study))
    assert train_both(study, tmp_path, quiet=True) == lines and len(made) == len(lines)
    with pytest.raises(UserError, match=r"supernet.json is of another run or of other steps"):
        train_both(dataclasses.replace(study, steps=(5, 6)), tmp_path, quiet=True)
    random, other = judged_starts(study, lines, real)
    assert (random["start"], random["kendall"]) == ("random", pytest.approx(1))
    assert (other["start"], other["kendall"]) == ("inherited", pytest.approx(-1))
    assert random["rank"] < 34 < other["rank"]
    assert "| 5 | random | 1.00 |" in markdown([random, other])
    with pytest.raises(UserError, match="is on cifar10, not cifar100; name another run"):
        train_both(StudyConfig(dataset="cifar100", out=study.out), tmp_path, quiet=True)
