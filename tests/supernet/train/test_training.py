import dataclasses
import io
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ops.rehearsal import DEVICE, rehearsal
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset
from supernet.data.sharing import TENSORS
from supernet.errors import UserError
from supernet.finite import Diverged
from supernet.randomness import Randomness
from supernet.train import training
from supernet.train.config import TrainConfig
from supernet.train.training import Training, make_attack

CELL = Genotype.parse("313021")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", limit=100, test_limit=20)


def _training(data: ImageData, **changes: Any) -> Training:
    values: dict[str, Any] = {
        "genotype": CELL.code, "C": 4, "N": 1, "epochs": 2, "batch_size": 32, "attack_steps": 2,
        "ema": True, "probe_images": 10,
    }  # fmt: skip
    return Training(TrainConfig(**{**values, **changes}), CELL, data, CPU)


def test_attack_settings() -> None:
    pgd = make_attack(TrainConfig(), 8 / 255)
    assert pgd is not None
    assert pgd.keywords == {"eps": 8 / 255, "step_size": 2 / 255, "steps": 7, "trusted": True}  # type: ignore[attr-defined]
    single = make_attack(TrainConfig(attack="n_fgsm", step_size=0.1), 0.2)
    assert single.keywords == {"eps": 0.2, "step_size": 0.1, "trusted": True}  # type: ignore[union-attr]
    assert make_attack(TrainConfig(attack="none"), 8 / 255) is None


def test_one_step_is_sgd_on_the_attacked_images_alone(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights after the first step, from autograd and SGD's formula by hand."""
    training = _training(data, ema=False)
    seen: dict[str, Tensor] = {}

    def attack(model: Any, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        seen["x"], seen["y"] = (x * 0.5 + 0.1).detach(), y
        # Evaluation mode: the folded network has no module to be in training mode.
        assert not isinstance(model, torch.nn.Module)
        return seen["x"]

    monkeypatch.setattr(training, "attack", attack)
    twin = _training(data, ema=False).net.train()
    twin.load_state_dict(training.net.state_dict())
    lr = training.optimiser.param_groups[0]["lr"]
    training.train_step()
    F.cross_entropy(twin(seen["x"]), seen["y"]).backward()
    assert len(seen["y"]) == 32
    for (name, after), before in zip(
        training.net.named_parameters(), twin.parameters(), strict=True
    ):
        expected = before - lr * (before.grad + 5e-4 * before)
        torch.testing.assert_close(after, expected, msg=name)
    torch.testing.assert_close(
        training.net.last_bn.running_mean, twin.last_bn.running_mean, rtol=1e-5, atol=1e-6
    )


def test_the_schedule_peaks_at_lr_and_ends_near_zero(data: ImageData) -> None:
    training = _training(data, lr=0.1, epochs=10, attack="none", ema=False)
    rates, momenta = [], []
    for _ in range(training.total_steps):
        group = training.optimiser.param_groups[0]
        rates.append(group["lr"])
        momenta.append(group["momentum"])
        training.optimiser.step()
        if training.step + 1 < training.total_steps:
            training.schedule.step()
        training.step += 1
    assert training.total_steps == 30 == len(rates)
    assert rates[0] == pytest.approx(0.1 / 25)
    # The peak at 30 % of the steps, counted from 0: step 8.
    assert max(rates) == pytest.approx(0.1) and rates.index(max(rates)) == 8
    assert rates[-1] == pytest.approx(0.1 / 25 / 1e4)
    assert momenta[8] == pytest.approx(0.85) and momenta[0] == pytest.approx(0.95)


def test_the_average_is_the_closed_form(data: ImageData) -> None:
    training = _training(data, attack="none")
    training.train_step()
    first = {name: value.clone() for name, value in training.net.state_dict().items()}
    for name, value in training.result.state_dict().items():
        assert torch.equal(value, first[name])  # decay 0 in the first step
    training.train_step()
    decay = 1 - 2 ** (-2 / 3)
    for name, value in training.result.state_dict().items():
        if value.is_floating_point():
            expected = decay * first[name] + (1 - decay) * training.net.state_dict()[name]
            torch.testing.assert_close(value, expected)


@pytest.mark.slow
def test_a_resumed_training_is_bit_identical(data: ImageData) -> None:
    whole = _training(data)
    for _ in range(5):
        whole.train_step()
    part = _training(data)
    part.train_step()
    part.train_step()
    buffer = io.BytesIO()
    torch.save(part.state_dict(), buffer)
    buffer.seek(0)
    torch.manual_seed(99)
    rest = _training(data)
    rest.load_state_dict(torch.load(buffer, weights_only=True))
    for _ in range(3):
        rest.train_step()
    for one, two in ((whole.net, rest.net), (whole.result, rest.result)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[name]), name
    assert torch.equal(whole.totals, rest.totals)
    assert whole.measure() == rest.measure()


def test_the_seed_decides(data: ImageData) -> None:
    def after(seed: int) -> Tensor:
        training = _training(data, seed=seed)
        training.train_step()
        return training.net.classifier.weight.detach()

    assert torch.equal(after(1), after(1))
    assert not torch.equal(after(1), after(2))


def test_means_are_of_the_epoch_and_start_anew(data: ImageData) -> None:
    training = _training(data, ema=False)
    while training.epoch < 1:
        training.train_step()
    means = training.epoch_means()
    assert set(means) == {"train_loss", "train_robust_acc"}
    assert 0.5 < means["train_loss"] < 10 and 0 <= means["train_robust_acc"] <= 1
    assert training.totals.tolist() == [0.0, 0.0]
    assert set(training.measure()) == {"test_clean_acc", "test_robust_acc"}
    assert _training(data, probe_images=0).measure() == {}


def test_too_few_images_are_named(data: ImageData) -> None:
    with pytest.raises(UserError, match="a batch of 256 cannot be taken from 100 training images"):
        _training(data, batch_size=256)


def test_it_stops_at_the_first_step_that_is_not_finite(data: ImageData) -> None:
    training = _training(data, attack="none")
    training.train_step()
    next(iter(training.net.parameters())).data[0] = float("inf")
    message = r"step 2 diverged: train_loss is nan; start a new run with a lower --lr \(it is 0.1\)"
    with pytest.raises(Diverged, match=message):
        training.train_step()


def test_weights_that_a_step_throws_away_are_found_in_that_step(data: ImageData) -> None:
    """Not in the next one, which the last step does not have."""
    training = _training(data, attack="none")
    training.optimiser.param_groups[0]["lr"] = 1e38
    with pytest.raises(Diverged, match=r"step 1 diverged: norm of the weights is (inf|nan)"):
        training.train_step()


def test_a_balanced_training_sees_the_classes_equally_often(data: ImageData) -> None:
    kept = torch.cat([(data.train_y == c).nonzero().flatten()[:n] for c, n in ((0, 2), (1, 10))])
    some = dataclasses.replace(data, train_x=data.train_x[kept], train_y=data.train_y[kept])
    for balance, expected in ((True, [6, 6]), (False, [2, 10])):
        training = _training(some, batch_size=4, balance=balance)
        labels = torch.cat([some.train_y[next(training.batches)] for _ in range(3)])
        assert labels.bincount().tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["none", "n_fgsm", "pgd"])
def test_a_step_makes_the_host_wait_for_nothing(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an imagined GPU; numbers that are not finite are looked for some steps later."""
    few = load_dataset("digits", limit=400, test_limit=20)
    config = TrainConfig(
        genotype=CELL.code, C=4, N=1, epochs=2, batch_size=8, attack=attack, attack_steps=2,
        probe_images=10,
    )  # fmt: skip
    random = Randomness(0, CPU)
    random.streams["attack"] = None  # type: ignore[assignment]  # there is no GPU to draw on
    monkeypatch.setattr(training, "Randomness", lambda *_: random)
    with rehearsal() as on_gpu:
        there = {name: getattr(few, name).to(DEVICE) for name in TENSORS}
        job = Training(config, CELL, dataclasses.replace(few, **there), DEVICE)
        job.train_step()
        with on_gpu.part() as step:
            job.train_step()
    assert step.waits == [] and step.operators > 100
