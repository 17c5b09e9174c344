import dataclasses

import pytest
import torch

from supernet.attacks.accuracy import WORST_LOSS
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset, to_float
from supernet.train import short
from supernet.train.config import TrainConfig
from supernet.train.short import Recipe, train_briefly
from supernet.train.training import Training

CELL = Genotype.parse("313121")
SMALL = Recipe(steps=6, batch_size=16, C=4, N=1)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", limit=100, test_limit=30)


def test_the_loss_is_that_of_a_training_of_as_many_steps_measured_by_hand(data: ImageData) -> None:
    found = train_briefly(CELL, data, SMALL, seed=3)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))[: 6 * 16]
    some = dataclasses.replace(data, train_x=data.train_x[order], train_y=data.train_y[order])
    config = TrainConfig(
        genotype=CELL.code, C=4, N=1, epochs=1, batch_size=16, lr=0.1, attack="none", seed=3
    )
    training = Training(config, CELL, some, torch.device("cpu"))
    assert training.total_steps == 6
    losses = []
    while training.step < 6:
        training.train_step()
        losses.append(float(training.totals[0]))
    logits = training.net.eval()(to_float(data.test_x))
    loss = torch.nn.functional.cross_entropy(logits, data.test_y)
    assert found.loss == pytest.approx(loss.item(), rel=1e-4)
    assert found.acc == float((logits.argmax(1) == data.test_y).double().mean())
    assert found.train_loss == pytest.approx(losses[-1] / 6)
    assert found.robust_loss is None
    assert found.robust_acc is None


def test_few_images_are_seen_several_times(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 images make 6 batches of 16: 20 steps are about 3 epochs."""
    seen = []
    step = Training.train_step
    monkeypatch.setattr(Training, "train_step", lambda self: (seen.append(1), step(self))[1])
    train_briefly(CELL, data, dataclasses.replace(SMALL, steps=20), seed=0)
    assert len(seen) == 18


def test_the_outcome_is_of_the_arguments_alone(data: ImageData) -> None:
    state = torch.get_rng_state()
    first = train_briefly(CELL, data, SMALL, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    again = train_briefly(CELL, data, SMALL, seed=0)
    assert again.loss == first.loss
    assert train_briefly(CELL, data, SMALL, seed=1).loss != first.loss
    other = dataclasses.replace(SMALL, steps=5)
    assert train_briefly(CELL, data, other, seed=0).loss != first.loss


@pytest.mark.slow
def test_an_attacked_training_is_measured_under_attack(data: ImageData) -> None:
    recipe = dataclasses.replace(SMALL, attack="n_fgsm", steps=30)
    found = train_briefly(CELL, data, recipe, seed=0)
    assert found.robust_loss is not None
    assert found.robust_acc is not None
    assert found.robust_loss > found.loss
    assert found.robust_acc <= found.acc


@pytest.mark.slow
def test_accuracy_alone_needs_no_attack_on_what_is_wrong_already(data: ImageData) -> None:
    # So short a training withstands no attack of the usual size, on some processors.
    data = dataclasses.replace(data, eps=1 / 255)
    recipe = dataclasses.replace(SMALL, attack="n_fgsm", steps=30)
    every = train_briefly(CELL, data, recipe, seed=0)
    found = train_briefly(CELL, data, dataclasses.replace(recipe, attack_all=False), seed=0)
    assert (found.loss, found.acc, found.train_loss) == (every.loss, every.acc, every.train_loss)
    assert found.robust_loss is None
    assert found.robust_acc is not None and every.robust_acc is not None
    assert 0 < found.robust_acc <= every.robust_acc
    clean = train_briefly(CELL, data, dataclasses.replace(SMALL, attack_all=False), seed=0)
    assert clean.robust_acc is None


@pytest.mark.parametrize("attack", ["none", "n_fgsm"])
@pytest.mark.parametrize("attack_all", [True, False])
def test_a_training_that_diverges_has_the_worst_outcome(
    data: ImageData, monkeypatch: pytest.MonkeyPatch, attack: str, attack_all: bool
) -> None:
    """It loses against every other and ends nothing."""
    monkeypatch.setattr(short, "LR", 1e30)
    recipe = dataclasses.replace(SMALL, attack=attack, attack_all=attack_all)
    found = train_briefly(CELL, data, recipe, seed=0)
    assert (found.loss, found.train_loss, found.acc) == (WORST_LOSS, WORST_LOSS, 0)
    attacked = attack != "none"
    assert found.robust_acc == (0 if attacked else None)
    assert found.robust_loss == (WORST_LOSS if attacked and attack_all else None)


def test_one_that_diverges_in_its_last_step_loses_too(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Training.train_step

    def last(training: Training) -> None:
        step(training)
        if training.step == training.total_steps:
            for parameter in training.net.parameters():
                parameter.data.fill_(float("nan"))

    monkeypatch.setattr(Training, "train_step", last)
    assert train_briefly(CELL, data, SMALL, seed=0).loss == WORST_LOSS


def test_balanced_trials_count_the_classes_alike(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that knows one class alone is right on half of two classes, however uneven."""
    kept = (data.test_y < 2).nonzero().flatten()
    ones = kept[data.test_y[kept] == 1]
    index = torch.cat([(data.test_y == 0).nonzero().flatten()[:1], ones.repeat(9)[:9]])
    some = dataclasses.replace(data, test_x=data.test_x[index], test_y=data.test_y[index])

    class Ones(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[1].expand(len(x), 10)

    monkeypatch.setattr("supernet.nets.derived.DerivedNetwork.fold", lambda self: Ones())
    assert train_briefly(CELL, some, SMALL, seed=0).acc == 0.9
    assert train_briefly(CELL, some, dataclasses.replace(SMALL, balance=True), seed=0).acc == 0.5
