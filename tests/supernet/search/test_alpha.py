"""An alpha step: Adam along the combined gradient, decay, and nothing else that moves."""

import contextlib

import pytest
import torch
from torch import Tensor

from cuda_ext import _native
from supernet.search import alpha
from supernet.search.alpha import Alpha
from supernet.search.step_attack import StepAttack
from supernet.search.strategies.regularisers import decay_step
from tests.supernet.search.test_search import make_search


def test_alpha_moves_no_running_statistics_and_no_weight() -> None:
    search = make_search()
    search.net.train()
    before = {n: b.clone() for n, b in search.net.named_buffers()}
    batch = search.images.next_alpha()
    attack = search.make_attack()
    found = search.alpha.step(batch, batch, attack, search.weights.upcoming(), progress=0.5)
    assert all(torch.equal(b, before[n]) for n, b in search.net.named_buffers())
    assert all(p.grad is None for p in search.net.parameters())
    assert set(found) == {
        "alpha_clean_loss", "alpha_robust_loss", "coefficient_clean", "coefficient_robust",
        "conflict_angle_deg",
    }  # fmt: skip


def test_the_first_move_is_the_learning_rate_against_the_gradients_sign_and_the_decay() -> None:
    # Adam's first step is lr * sign(gradient + weight decay * alpha).
    search = make_search(beta_decay=5.0)
    alpha = search.strategy.alpha
    gradient, before = torch.randn(6, 5), alpha.detach().clone()
    expected = before - 0.01 * (gradient + 1e-3 * before).sign()
    decay_step(expected, 5.0 * 0.25, 0.01)
    search.alpha._move(gradient, progress=0.25)
    torch.testing.assert_close(alpha.detach(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("impl", ["batched", "native"])
@pytest.mark.parametrize("strategy", ["darts", "drnas", "gdas"])
def test_without_gradients_of_the_weights_alpha_is_the_same_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, strategy: str, impl: str
) -> None:
    if impl == "native" and not _native.available():
        pytest.skip(f"no native kernels: {_native.why_unavailable()}")
    one, other = (make_search(strategy=strategy, impl=impl) for _ in range(2))
    seen: list[bool] = []
    forward = one.net.forward_features

    def watched(*arguments: object) -> torch.Tensor:
        seen.extend(p.requires_grad for p in one.net.parameters())
        return forward(*arguments)  # type: ignore[arg-type]

    one.net.forward_features = watched  # type: ignore[assignment, method-assign]
    for search in (one, other):
        if search is other:
            monkeypatch.setattr(alpha, "constant_weights", contextlib.nullcontext)
        torch.manual_seed(3)  # drnas and gdas draw
        search.net.train()
        batch = search.images.next_alpha()
        for _ in range(2):
            search.alpha.step(batch, batch, search.make_attack(), search.weights.upcoming(),
                              progress=0.5)  # fmt: skip
    assert torch.equal(one.strategy.alpha, other.strategy.alpha)
    assert seen and not any(seen), "the weights are constants in every forward pass"
    assert all(p.requires_grad for p in one.net.parameters())


@pytest.mark.parametrize(("strategy", "images"), [("darts", 1), ("darts2", 2)])
def test_only_the_images_that_are_asked_for_are_attacked(strategy: str, images: int) -> None:
    search = make_search(strategy=strategy)
    search.net.train()
    seen = []

    def unchanged(model: object, x: Tensor, y: Tensor, drawn: Tensor) -> Tensor:
        seen.append(len(y))
        return x

    attack = StepAttack(unchanged, None)
    batch = search.images.next_alpha()
    search.alpha.step(batch, batch, attack, search.weights.upcoming(), progress=0.0)
    assert len(seen) == images
    clean = make_search(strategy=strategy, robust_weight=0.0)
    clean.net.train()
    seen.clear()
    assert isinstance(clean.alpha, Alpha)
    clean.alpha.step(batch, batch, attack, clean.weights.upcoming(), progress=0.0)
    assert len(seen) == images - 1
