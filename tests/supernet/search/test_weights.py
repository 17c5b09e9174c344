"""A weight step against the step written out: mixtures, single cells, and their statistics."""

import math

import pytest
import torch
from torch import Tensor

from ops.candidates import kept_statistics
from supernet.search import weights
from supernet.search.halves import Batch
from supernet.search.search import Search
from tests.supernet.search.test_search import make_search, snapshot

PLAIN = {"path_share": 1.0, "attack": "fgsm", "attack_dtype": "float32", "lr": 0.5}


@pytest.fixture
def plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight step that is nothing but - lr * gradient."""
    monkeypatch.setattr(weights, "MOMENTUM", 0.0)
    monkeypatch.setattr(weights, "WEIGHT_DECAY", 0.0)
    monkeypatch.setattr(weights, "GRAD_CLIP", 1e9)
    real = torch.optim.SGD
    monkeypatch.setattr(torch.optim, "SGD", lambda *a, nesterov, **k: real(*a, nesterov=False, **k))


def expected_step(search: Search, batch: Batch) -> list[Tensor]:
    """The weights after a step on the mean loss of what is trained, written out."""
    net, (x, y) = search.net, batch
    parameters = list(net.parameters())
    mixtures, cells = search.weights.trained(True)
    assert search.attack is not None
    losses = []
    for w_EO in mixtures:
        logits = net(search.attack(net.fold_mixture(w_EO), x, y), w_EO)
        losses.append(-logits.log_softmax(1)[torch.arange(len(y)), y].mean())
    for ops in cells:
        x_adv = search.attack(net.fold_cell(ops, x=x), x, y)
        with kept_statistics(net):
            logits = net.forward_cell(x_adv, ops)
        losses.append(-logits.log_softmax(1)[torch.arange(len(y)), y].mean())
    gradients = torch.autograd.grad(torch.stack(losses).mean(), parameters, allow_unused=True)
    steps = [torch.zeros(()) if g is None else 0.5 * g for g in gradients]
    return [p.detach() - step for p, step in zip(parameters, steps, strict=True)]


def leaning(**fields: object) -> Search:
    search = make_search(**PLAIN, **fields)
    with torch.no_grad():
        search.strategy.alpha[:, 2] += 1
    search.net.train()
    return search


@pytest.mark.usefixtures("plain_steps")
@pytest.mark.parametrize("kind", ["alpha", "sandwich"])
def test_a_step_is_the_gradient_of_the_mean_loss(kind: str) -> None:
    search, other = leaning(path_kind=kind), leaning(path_kind=kind)
    expected = expected_step(other, other.images.next_weights())
    search.weights.step(search.images.next_weights(), search.make_attack(), single_cells=True)
    for found, wanted in zip(search.net.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=1e-4, atol=1e-6)
    # The running statistics moved with the mixture alone.
    for (name, found), wanted in zip(search.net.named_buffers(), other.net.buffers(), strict=True):
        torch.testing.assert_close(found, wanted, msg=name)


def test_a_sandwich_is_the_mixture_an_even_cell_and_the_argmax_cell() -> None:
    search = leaning(path_kind="sandwich")
    drawn = [search.weights.trained(True) for _ in range(400)]
    assert all(len(m) == 1 and torch.equal(m[0], search.strategy.expected_weights())
               for m, _ in drawn)  # fmt: skip
    assert all(cells[1] == (2,) * 6 for _, cells in drawn)
    counts = torch.bincount(torch.tensor([cells[0] for _, cells in drawn]).flatten(), minlength=5)
    # Even over the four operators but none, whatever alpha says: 600 each, five deviations.
    assert counts[0] == 0 and ((counts[1:] - 600).abs() < 110).all()


def test_paths_by_alpha_follow_alpha_and_leave_none_out() -> None:
    search = leaning()
    with torch.no_grad():
        search.strategy.alpha[:, 0] += 9
    drawn = [search.weights.trained(True) for _ in range(300)]
    assert all(not mixtures and len(cells) == 1 for mixtures, cells in drawn)
    counts = torch.bincount(torch.tensor([cells[0] for _, cells in drawn]).flatten(), minlength=5)
    share = math.e / (3 + math.e)
    assert counts[0] == 0 and abs(counts[2] / 1800 - share) < 0.06


def test_without_single_cells_it_is_the_mixture() -> None:
    search = leaning()
    mixtures, cells = search.weights.trained(False)
    assert not cells and torch.equal(mixtures[0], search.strategy.expected_weights())


def test_a_step_of_the_mixture_leaves_no_gradient() -> None:
    """A captured one would lie in the graph's memory."""
    search = leaning()
    search.weights.step(search.images.next_weights(), search.make_attack(), single_cells=False)
    assert all(p.grad is None for p in search.net.parameters())


def test_a_single_cell_moves_no_running_statistics() -> None:
    search = leaning()
    before = snapshot(search)
    search.weights.step(search.images.next_weights(), search.make_attack(), single_cells=True)
    for name, value in search.net.state_dict().items():
        if "running_" in name or name.endswith("num_batches_tracked"):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(search.net.classifier.weight, before["classifier.weight"])


@pytest.mark.slow
def test_the_attack_raises_the_loss_that_is_trained() -> None:
    search = make_search(eps=0.2, attack="pgd")
    for _ in range(8):
        search.train_step()
    x, y = search.images.held_out(32)
    model = search.net.fold_mixture(search.strategy.expected_weights())
    assert search.attack is not None
    x_adv = search.attack(model, x, y)
    loss = torch.nn.functional.cross_entropy
    assert loss(model(x_adv), y) > loss(model(x), y) + 0.01
    assert (x_adv - x).abs().max() <= 0.2 + 1e-6
