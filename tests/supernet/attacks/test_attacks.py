"""Attacks on models whose answer is known exactly, and what every attack must leave alone."""

import pytest
import torch
from torch import Tensor, nn

from supernet.attacks import ATTACKS, n_fgsm, pgd
from supernet.attacks.common import uniform_noise

EPS = 8 / 255
ALL = sorted(ATTACKS)
STRIDED = torch.channels_last


class Linear(nn.Module):
    """Logits (-s, s) with s = a.x + b: the L-inf distance to the boundary is |s| / |a|_1."""

    def __init__(self, num_pixels: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        a = torch.randn(num_pixels, generator=generator, dtype=torch.float64)
        self.a = nn.Parameter(a)
        self.b = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def score(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.a + self.b

    def forward(self, x: Tensor) -> Tensor:
        score = self.score(x)
        return torch.stack([-score, score], 1)


def at_radius(model: Linear, radius: float, count: int = 12) -> tuple[Tensor, Tensor]:
    """Images well inside [0, 1] whose exact distance to the boundary is `radius`; their labels."""
    generator = torch.Generator().manual_seed(1)
    pixels = model.a.numel()
    x = 0.5 + 0.1 * (torch.rand(count, pixels, generator=generator, dtype=torch.float64) - 0.5)
    y = torch.arange(count) % 2
    with torch.no_grad():
        target = radius * model.a.abs().sum() * (2 * y - 1)
        x = x + ((target - model.score(x)) / model.a.abs().sum())[:, None] * model.a.sign()
    assert x.min() > 0.15 and x.max() < 0.85
    return x.view(count, 3, 4, 4), y


def flipped(model: Linear, x_adv: Tensor, y: Tensor) -> int:
    return int((model(x_adv).argmax(1) != y).sum())


# The boundary's distance in units of eps at which the attack surely succeeds, and surely fails.
# FGSM and PGD reach the ball's best corner. FGSM-RS with its own step of 1.25 eps surely gets from
# the worst start -eps to +0.25 eps, with a step of 2 eps to the corner. N-FGSM is not clipped: the
# step alone surely undoes half of the worst noise (eps - 2 eps), the best noise adds 2 eps to it.
EXACT = [
    ("fgsm", {}, 1.0, 1.0),
    ("fgsm_rs", {}, 0.25, 1.0),
    ("fgsm_rs", {"step_size": 2 * EPS}, 1.0, 1.0),
    ("n_fgsm", {}, -1.0, 3.0),
    ("n_fgsm", {"noise": 0.0}, 1.0, 1.0),
    ("n_fgsm", {"noise": 0.5}, 0.5, 1.5),
    ("pgd", {"steps": 1, "step_size": EPS, "random_start": False}, 1.0, 1.0),
    ("pgd", {"steps": 7}, 1.0, 1.0),
    ("pgd", {"steps": 20, "loss": "margin"}, 1.0, 1.0),
]


@pytest.mark.parametrize(("name", "options", "surely", "at_most"), EXACT)
def test_exact_radius_of_a_linear_model(
    name: str, options: dict[str, float], surely: float, at_most: float
) -> None:
    model = Linear(48)
    generator = torch.Generator().manual_seed(3)

    def attack(radius: float) -> tuple[int, int]:
        x, y = at_radius(model, radius)
        assert flipped(model, x, y) == 0
        x_adv = ATTACKS[name](model, x, y, eps=EPS, generator=generator, **options)
        return flipped(model, x_adv, y), len(y)

    if surely > 0:
        hit, count = attack(surely * EPS / 1.01)
        assert hit == count
    hit, _ = attack(at_most * EPS / 0.99)
    assert hit == 0


def test_default_n_fgsm_is_noise_plus_one_full_step() -> None:
    model = Linear(48)
    x, y = at_radius(model, EPS)
    noise = uniform_noise(x, 2 * EPS, torch.Generator().manual_seed(5))
    x_adv = n_fgsm(model, x, y, eps=EPS, generator=torch.Generator().manual_seed(5))
    uphill = -(2 * y - 1)[:, None] * model.a.detach().sign()
    torch.testing.assert_close(x_adv - x, noise + EPS * uphill.view_as(x))
    assert (x_adv - x).abs().max() > 2 * EPS, "the perturbation must not be clipped to eps"
    assert (x_adv - x).abs().max() <= 3 * EPS + 1e-12


def test_default_fgsm_rs_is_noise_plus_a_clipped_step() -> None:
    model = Linear(48)
    x, y = at_radius(model, EPS)
    noise = uniform_noise(x, EPS, torch.Generator().manual_seed(5))
    x_adv = ATTACKS["fgsm_rs"](model, x, y, eps=EPS, generator=torch.Generator().manual_seed(5))
    uphill = -(2 * y - 1)[:, None] * model.a.detach().sign()
    expected = (noise + 1.25 * EPS * uphill.view_as(x)).clamp(-EPS, EPS)
    torch.testing.assert_close(x_adv - x, expected)


def test_pgd_follows_a_curved_loss_step_by_step() -> None:
    """On -|x - c|^2 the iterates walk to c: 3 steps of eps/4 from x, then the sign alternates."""
    c = torch.full((2, 3, 2, 2), 0.5, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        score = (x - c).square().flatten(1).sum(1)
        return torch.stack([score, torch.zeros_like(score)], 1)

    x = c - 2.5 * EPS / 4
    y = torch.zeros(2, dtype=torch.long)
    for steps, offset in ((1, -1.5), (2, -0.5), (3, 0.5), (4, -0.5)):
        x_adv = pgd(model, x, y, eps=EPS, step_size=EPS / 4, steps=steps, random_start=False)
        torch.testing.assert_close(x_adv, c + offset * EPS / 4)


@pytest.mark.parametrize("name", ALL)
def test_zero_eps_returns_the_images(name: str) -> None:
    model = Linear(48)
    x, y = at_radius(model, EPS)
    assert torch.equal(ATTACKS[name](model, x, y, eps=0.0), x)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_result_stays_in_the_ball_and_in_the_pixel_range(name: str, dtype: torch.dtype) -> None:
    model = _conv_net().to(dtype)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 3, 7, 5, generator=generator, dtype=dtype).round(decimals=1)
    assert (x == 0).any() and (x == 1).any()
    y = torch.arange(5) % 4
    x_adv = ATTACKS[name](model, x, y, eps=EPS, generator=generator)
    reach = 3 * EPS if name == "n_fgsm" else EPS
    assert x_adv.min() >= 0 and x_adv.max() <= 1
    assert (x_adv - x).abs().max() <= reach + 1e-6
    inside = (x > 0.2) & (x < 0.8)
    assert ((x_adv - x).abs()[inside]).max() >= 0.99 * EPS
    assert x_adv.dtype == dtype and not x_adv.requires_grad


@pytest.mark.parametrize("name", ALL)
def test_batch_of_one_and_no_grad(name: str) -> None:
    model = _conv_net()
    x, y = torch.rand(1, 3, 7, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([2])
    with torch.no_grad():
        x_adv = ATTACKS[name](model, x, y, eps=EPS)
    assert x_adv.shape == x.shape and not torch.equal(x_adv, x)


@pytest.mark.parametrize("name", ["fgsm_rs", "n_fgsm", "pgd"])
def test_generator_decides_and_memory_format_does_not(name: str) -> None:
    model = _conv_net().double()
    x = torch.rand(4, 3, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(4)

    def attack(x: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        torch.rand(seed + 1)  # The global generator is elsewhere each time.
        return ATTACKS[name](model, x, y, eps=EPS, generator=generator)

    first = attack(x, 1)
    assert torch.equal(first, attack(x, 1))
    assert not torch.equal(first, attack(x, 2))
    strided = attack(x.contiguous(memory_format=STRIDED), 1)
    assert strided.is_contiguous(memory_format=STRIDED)
    torch.testing.assert_close(strided, first)


@pytest.mark.parametrize("name", ALL)
def test_without_generator_the_global_seed_decides(name: str) -> None:
    model = _conv_net()
    x, y = torch.rand(4, 3, 7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    torch.manual_seed(0)
    first = ATTACKS[name](model, x, y, eps=EPS)
    torch.manual_seed(0)
    assert torch.equal(first, ATTACKS[name](model, x, y, eps=EPS))


@pytest.mark.parametrize("name", ALL)
def test_images_labels_and_their_slices_are_not_written(name: str) -> None:
    model = _conv_net()
    whole = torch.rand(4, 6, 9, 5, generator=torch.Generator().manual_seed(0))
    before, y = whole.clone(), torch.arange(4)
    x = whole[:, 1:4, 1:8].requires_grad_(True)
    x_adv = ATTACKS[name](model, x, y, eps=EPS)
    assert torch.equal(whole, before) and x.grad is None and x.requires_grad
    assert x_adv.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr()


class Failing(nn.Module):
    """Raises at the n-th forward pass."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def forward(self, x: Tensor) -> Tensor:
        self.calls -= 1
        if self.calls < 0:
            raise RuntimeError("the network broke")
        return x


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("raises", [False, True])
def test_the_network_is_as_before(name: str, raises: bool) -> None:
    net = nn.Sequential(_conv_net(), Failing(0 if raises else 99))
    inner = net[0]
    assert isinstance(inner, nn.Sequential)
    net.train()
    inner[3].eval()  # A mixture of modes must survive.
    inner[0].weight.requires_grad_(False)
    inner[2].weight.grad = torch.ones_like(inner[2].weight)
    modes = [m.training for m in net.modules()]
    flags = [p.requires_grad for p in net.parameters()]
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    x, y = torch.rand(4, 3, 7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    if raises:
        with pytest.raises(RuntimeError, match="the network broke"):
            ATTACKS[name](net, x, y, eps=EPS)
    else:
        ATTACKS[name](net, x, y, eps=EPS)
    assert [m.training for m in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == flags
    for p, grad in zip(net.parameters(), grads, strict=True):
        assert (p.grad is None) == (grad is None)
        assert grad is None or torch.equal(p.grad, grad)
    for key, value in net.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", ["fgsm", "n_fgsm", "pgd"])
def test_the_network_is_attacked_in_evaluation_mode(name: str) -> None:
    """With batch statistics, images of one batch would change each other's result.

    Without noise only, whose values depend on an image's place in the batch (so no FGSM-RS).
    """
    net = _conv_net().double().train()
    net(torch.rand(64, 3, 7, 5, dtype=torch.float64))
    x = torch.rand(4, 3, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(4)
    options = {"fgsm": {}, "n_fgsm": {"noise": 0.0}, "pgd": {"random_start": False}}[name]
    together = ATTACKS[name](net, x, y, eps=EPS, **options)
    alone = torch.cat(
        [ATTACKS[name](net, x[i : i + 1], y[i : i + 1], eps=EPS, **options) for i in range(4)]
    )
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", ALL)
def test_autocast_keeps_the_images_dtype(name: str) -> None:
    net = _conv_net()
    x, y = torch.rand(4, 3, 7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x_adv = ATTACKS[name](net, x, y, eps=EPS)
    assert x_adv.dtype == torch.float32 and not torch.equal(x_adv, x)


BAD = [
    ({"eps": -0.1}, "eps must be a number from 0 to 1, the range of the pixels, such as 8/255"),
    ({"eps": 8}, "eps must be a number from 0 to 1.*; got 8"),
    ({"eps": float("nan")}, "eps must be a number from 0 to 1.*; got nan"),
    ({"eps": "8/255"}, "eps is of type str; give a number such as 8/255"),
    ({"eps": torch.tensor(0.1)}, "eps is of type Tensor"),
    ({"step_size": -1.0}, "step_size must be a number from 0 to 1.*such as 2/255; got -1"),
    ({"step_size": 2}, "step_size must be a number from 0 to 1.*; got 2"),
    ({"loss": "hinge"}, "unknown loss 'hinge'; choose from ce, margin"),
]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(name: str, options: dict[str, float], message: str) -> None:
    x, y = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=message):
        ATTACKS[name](_conv_net(), x, y, **{"eps": EPS, **options})


@pytest.mark.parametrize("name", ALL)
def test_bad_images_and_labels(name: str) -> None:
    attack, net, y = ATTACKS[name], _conv_net(), torch.tensor([0, 1])
    x = torch.rand(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"x is torch\.uint8"):
        attack(net, (x * 255).byte(), y, eps=EPS)
    with pytest.raises(ValueError, match=r"attacks take images in \[0, 1\]"):
        attack(net, (x - 0.5) / 0.25, y, eps=EPS)
    with pytest.raises(ValueError, match=r"labels of shape \(2,\), got torch\.int64 \(3,\)"):
        attack(net, x, torch.tensor([0, 1, 2]), eps=EPS)
    with pytest.raises(ValueError, match=r"got torch\.float32 \(2,\)"):
        attack(net, x, y.float(), eps=EPS)


def test_bad_numbers_of_steps() -> None:
    x, y = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    for steps in (0, -1, 2.5, "7"):
        with pytest.raises(ValueError, match=f"steps must be a whole number of .* 1, got {steps}"):
            pgd(_conv_net(), x, y, eps=EPS, steps=steps)  # type: ignore[arg-type]
    for name in ("fgsm", "fgsm_rs", "n_fgsm"):
        with pytest.raises(ValueError, match=f"{name} takes 1 step, got steps=7; use pgd"):
            ATTACKS[name](_conv_net(), x, y, eps=EPS, steps=7)
    for noise in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="noise must be a finite number >= 0"):
            n_fgsm(_conv_net(), x, y, eps=EPS, noise=noise)


def _conv_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 4),
    )
