"""Exact answers on linear models, and agreement with a second implementation on a small network."""

import copy
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from supernet import progress
from supernet.attacks import autoattack as module
from supernet.attacks.autoattack import STANDARD, autoattack
from supernet.data import load_dataset, to_float

CLASSES = 5


class _Linear(nn.Module):
    """Logits W x + b: the distance to the nearest wrong class is known exactly."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 4 * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))

    @torch.no_grad()
    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """min over wrong k of (f_y - f_k) / |w_y - w_k|_1, for x well inside [0, 1]."""
        logits, w = self(x), self.linear.weight
        gap = logits.gather(1, y[:, None]) - logits
        slope = (w[y][:, None] - w[None]).abs().sum(2)
        return (gap / slope).masked_fill(slope == 0, torch.inf).amin(1)


class _Pair(_Linear):
    """Logits (-s, s, -9, -9) with s = a.x + b, whose zero lies among the images: |s| / |a|_1."""

    def __init__(self) -> None:
        super().__init__(4)
        with torch.no_grad():
            a = torch.randn(48)
            self.linear.weight.copy_(torch.stack([-a, a, 0 * a, 0 * a]))
            self.linear.bias.copy_(torch.tensor([0.5, -0.5, 0, 0]) * a.sum() - 9.0)
            self.linear.bias[:2] += 9.0


@pytest.fixture
def linear() -> tuple[_Linear, Tensor, Tensor, Tensor]:
    model = _Linear()
    return model, *_images(model)


def _radius(distance: Tensor) -> float:
    """A radius that breaks about half of the images and is not within 0.4 % of any distance."""
    ordered = distance.sort().values
    ratio = ordered[17:48] / ordered[16:47]
    middle = 16 + int(ratio.argmax())
    radius = float((ordered[middle] * ordered[middle + 1]).sqrt())
    assert ((distance / radius - 1).abs() > 0.004).all()
    return radius


def _images(model: _Linear) -> tuple[Tensor, Tensor, Tensor]:
    x = 0.4 + 0.2 * torch.rand(64, 3, 4, 4)
    y = model(x).argmax(1)
    return x, y, model.distance(x, y)


@pytest.mark.parametrize(
    ("make", "attack"),
    [
        (_Pair, "apgd_ce"),
        (_Pair, "apgd_t"),
        (_Pair, "fab_t"),
        (_Linear, "apgd_t"),
        (_Linear, "fab_t"),
    ],
)
def test_gradient_attacks_break_exactly_what_lies_within_eps(
    make: type[_Linear], attack: str
) -> None:
    model = make()
    x, y, distance = _images(model)
    eps = _radius(distance)
    result = autoattack(model, x, y, eps=eps, attacks=[attack], iterations=20)
    broken = model(result.x_adv).argmax(1) != y
    assert torch.equal(broken, distance < eps)
    assert 0.2 < result.accuracy < 0.8
    assert result.accuracy == (distance > eps).double().mean().item()


def test_without_a_terminal_it_says_how_far_it_is(
    linear: tuple[_Linear, Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    model, x, y, distance = linear
    options = {"eps": _radius(distance), "attacks": ["apgd_t", "square"], "iterations": 5}
    autoattack(model, x, y, queries=20, progress=True, **options)
    said = capsys.readouterr().err.splitlines()
    counted = [re.match(r"AutoAttack: ([\d,]+) of ([\d,]+) passes", line) for line in said]
    found = [tuple(int(n.replace(",", "")) for n in m.groups()) for m in counted if m]
    assert len(found) > 10 and found[-1][0] == found[-1][1] < found[0][1]
    assert [done for done, _ in found] == sorted(done for done, _ in found)
    assert sum("images withstand" in line for line in said) == 2
    autoattack(model, x, y, queries=20, progress=False, **options)
    assert capsys.readouterr().err == ""


def test_square_breaks_some_and_nothing_beyond_eps() -> None:
    model = _Pair()
    x, y, distance = _images(model)
    eps = _radius(distance)
    result = autoattack(model, x, y, eps=eps, attacks=["square"], queries=200)
    broken = model(result.x_adv).argmax(1) != y
    assert broken.sum() > 5
    assert (distance[broken] < eps).all()


@pytest.mark.slow
def test_images_are_in_the_ball_and_stages_get_what_is_left(
    linear: tuple[_Linear, Tensor, Tensor, Tensor],
) -> None:
    model, x, y, _ = linear
    x = torch.where(x > 0.5, x + 0.399, x - 0.399)  # at the border of [0, 1], too
    y = torch.where(torch.arange(64) < 8, (y + 1) % CLASSES, model(x).argmax(1))
    eps = 0.03
    result = autoattack(model, x, y, eps=eps, iterations=10, queries=50, batch_size=17)
    assert (result.x_adv - x).abs().max() <= eps + 1e-7
    assert result.x_adv.min() >= 0 and result.x_adv.max() <= 1
    assert [stage.attack for stage in result.stages] == list(STANDARD)
    clean_right = int((model(x).argmax(1) == y).sum())
    assert result.clean_accuracy == clean_right / 64 < 1
    left = clean_right
    for stage in result.stages:
        assert stage.attacked == left
        left -= stage.broken
        assert stage.accuracy == left / 64
    right = model(result.x_adv).argmax(1) == y
    assert result.accuracy == int(right.sum()) / 64 == left / 64
    # Untouched where nothing succeeded.
    assert torch.equal(result.x_adv[right], x[right])
    wrong = model(x).argmax(1) != y
    assert torch.equal(result.x_adv[wrong], x[wrong])


def test_what_an_attack_claims_does_not_count(
    linear: tuple[_Linear, Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images far outside the ball, not-a-numbers and unbroken images: none is a success."""
    model, x, y, distance = linear
    eps = float(distance.min()) / 2
    seen = []

    def far(x: Tensor, y: Tensor) -> Tensor:
        seen.append(len(x))
        return torch.rand_like(x) * 5

    lies = {
        "apgd_ce": far,
        "apgd_t": lambda x, y: x * torch.nan,
        "fab_t": lambda x, y: x,
        "square": far,
    }
    monkeypatch.setattr(module._Settings, "attack", lambda settings, name, *rest: lies[name])
    result = autoattack(model, x, y, eps=eps)
    assert result.accuracy == 1.0
    assert torch.equal(result.x_adv, x)
    assert seen == [64, 64]


def test_success_is_judged_by_the_model_and_not_by_the_surrogate(
    linear: tuple[_Linear, Tensor, Tensor, Tensor],
) -> None:
    model, x, y, distance = linear
    eps = _radius(distance)
    other = _Linear()
    result = autoattack(
        model, x, y, eps=eps, attacks=["apgd_ce"], iterations=10, surrogate=lambda x: other(x)
    )
    assert result.accuracy == (model(result.x_adv).argmax(1) == y).double().mean().item()
    assert result.accuracy > (distance > eps).double().mean().item()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_images_and_leaves_no_trace() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    )
    model[1].eval()
    x = torch.rand(16, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    y = copy.deepcopy(model).eval()(x).argmax(1)
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    modes = [layer.training for layer in model.modules()]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    settings = {"eps": 0.1, "iterations": 10, "queries": 50}
    first = autoattack(model, x, y, seed=1, **settings)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)
    assert modes == [layer.training for layer in model.modules()]
    assert [p.requires_grad for p in model.parameters()] == [False] + [True] * 5
    assert all(p.grad is None for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    torch.manual_seed(6)
    again = autoattack(model, x, y, seed=1, **settings)  # type: ignore[arg-type]
    other = autoattack(model, x, y, seed=2, **settings)  # type: ignore[arg-type]
    assert 0 < first.accuracy < 1
    assert torch.equal(first.x_adv, again.x_adv)
    assert not torch.equal(first.x_adv, other.x_adv)


def test_starts_without_a_gradient_are_counted() -> None:
    """A saturated network: all logits constant but for a step that nothing can see."""

    class Flat(_Linear):
        def forward(self, x: Tensor) -> Tensor:
            return torch.arange(5.0).expand(len(x), 5) + 0 * x.flatten(1).sum(1, keepdim=True)

    x, y = torch.rand(6, 3, 4, 4), torch.full((6,), 4)
    result = autoattack(Flat(), x, y, eps=0.1, attacks=["apgd_ce", "apgd_t"], iterations=2)
    assert result.accuracy == 1
    assert [stage.zero_gradients for stage in result.stages] == [0, 6 * 4]


def test_bad_arguments_are_named() -> None:
    model, x, y = _Linear(), torch.rand(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"unknown attack 'apgd'; choose from apgd_ce, apgd_t"):
        autoattack(model, x, y, eps=0.1, attacks=["apgd"])
    with pytest.raises(ValueError, match="needs 4 classes and the network has 3"):
        autoattack(_Linear(3), x, y, eps=0.1)
    with pytest.raises(ValueError, match=r"eps must be above 0 .*got 8"):
        autoattack(model, x, y, eps=8)
    with pytest.raises(ValueError, match=r"attacks take images in \[0, 1\]"):
        autoattack(model, x * 255, y, eps=0.1)
    with pytest.raises(ValueError, match="there are no images to attack"):
        autoattack(model, x[:0], y[:0], eps=0.1)
    with pytest.raises(ValueError, match=r"x has pixels that are not a number \(NaN\)"):
        autoattack(model, x * torch.nan, y, eps=0.1)
    with pytest.raises(ValueError, match="y has the label -100; the model gives 5 classes"):
        autoattack(model, x, y - 100, eps=0.1)
    with pytest.raises(ValueError, match="x is of type ndarray, not a tensor"):
        autoattack(model, x.numpy(), y, eps=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the model returns tuple and not a tensor"):
        autoattack(lambda x: (model(x),), x, y, eps=0.1)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="the surrogate gives 4 classes and the model 5"):
        autoattack(model, x, y, eps=0.1, surrogate=_Linear(4))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_modes_without_gradients_and_small_labels_change_nothing(
    linear: tuple[_Linear, Tensor, Tensor, Tensor], mode: type
) -> None:
    model, x, y, distance = linear
    settings = {"eps": _radius(distance), "attacks": ["apgd_ce", "fab_t"], "iterations": 5}
    expected = autoattack(model, x, y, **settings)  # type: ignore[arg-type]
    assert 0 < expected.accuracy < 1
    with mode():
        made_inside = x.clone(), y.int()
        found = autoattack(model, *made_inside, **settings)  # type: ignore[arg-type]
    assert torch.equal(found.x_adv, expected.x_adv)


@pytest.mark.slow
def test_threads_leave_the_global_random_state_alone(
    linear: tuple[_Linear, Tensor, Tensor, Tensor],
) -> None:
    model, x, y, distance = linear
    state, eps = torch.get_rng_state(), _radius(distance)

    def attack(seed: int) -> Tensor:
        return autoattack(
            model, x, y, eps=eps, attacks=["square"], queries=30, batch_size=8, seed=seed
        ).x_adv

    alone = [attack(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(attack, range(3)))
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


@pytest.fixture(scope="module")
def digits_network() -> tuple[nn.Module, Tensor, Tensor]:
    """A small convolutional network, trained for seconds; test images that it gets right."""
    torch.manual_seed(0)
    data = load_dataset("digits")
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    x, y = to_float(data.train_x), data.train_y
    for _ in range(8):
        for index in torch.randperm(len(y)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimiser.step()
    x, y = to_float(data.test_x)[:60], data.test_y[:60]
    right = model(x).argmax(1) == y
    assert right.sum() > 50
    return model, x[right], y[right]


@pytest.mark.slow
def test_agrees_with_a_second_implementation(
    digits_network: tuple[nn.Module, Tensor, Tensor],
) -> None:
    """APGD with two losses and Square of the Adversarial Robustness Toolbox, other authors' code.

    The toolbox has no FAB and no targeted DLR loss: theirs is the untargeted one, and both must
    find the same boundary on a network that hides no gradients.
    """
    attacks = pytest.importorskip("art.attacks.evasion")
    estimators = pytest.importorskip("art.estimators.classification")
    model, x, y = digits_network
    eps = 24 / 255
    classifier = estimators.PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (3, 16, 16), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )

    def theirs(attack: type, **settings: object) -> float:
        np.random.seed(0)
        made = attack(
            estimator=classifier, norm=np.inf, eps=eps, batch_size=len(x), verbose=False, **settings
        )
        x_adv = torch.from_numpy(made.generate(x.numpy(), y.numpy()))
        assert (x_adv - x).abs().max() <= eps + 1e-6
        return float((model(x_adv).argmax(1) == y).double().mean())

    apgd, settings = attacks.AutoProjectedGradientDescent, {"max_iter": 25, "eps_step": 2 * eps}
    ce = theirs(apgd, loss_type="cross_entropy", nb_random_init=1, **settings)
    dlr = theirs(apgd, loss_type="difference_logits_ratio", nb_random_init=1, **settings)
    square = theirs(attacks.SquareAttack, max_iter=500, p_init=0.8, nb_restarts=1)
    assert 0.1 < ce < square < 0.9

    def ours(*names: str) -> float:
        return autoattack(model, x, y, eps=eps, attacks=names, iterations=25, queries=500).accuracy

    assert ours("apgd_ce") == pytest.approx(ce, abs=0.02)
    assert ours("apgd_t") == pytest.approx(dlr, abs=0.03)
    assert ours("fab_t") == pytest.approx(min(ce, dlr), abs=0.03)
    # The toolbox squeezes the schedule of square sizes into the queries it is given.
    assert ours("square") == pytest.approx(square, abs=0.12)
