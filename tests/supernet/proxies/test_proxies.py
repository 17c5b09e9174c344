"""What every score promises: finite on every cell, repeatable, and nothing left behind."""

import contextlib
import math

import pytest
import torch
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.proxies.ntk import ntk_kernels
from supernet.proxies.ntk_scores import kernel_scores
from supernet.proxies.registry import LOWER_IS_BETTER, NTK_NAMES, PROXIES

CELLS = {
    "all none": "000000",
    "disconnected with convolutions": "300000",
    "disconnected behind node 1": "033200",
    "all skip": "111111",
    "all pool": "444444",
    "all 1x1": "222222",
    "all 3x3": "333333",
    "dead end at node 2": "333130",
    "mixed": "342120",
}
SENTINEL_ZERO = ("gradnorm", "snip", "grasp", "synflow", "croze", "croze_released")


def _network(code: str, N: int = 1) -> DerivedNetwork:
    torch.manual_seed(0)
    options = {"C": 4, "N": N, "mean": (0.5, 0.4, 0.3), "std": (0.25, 0.25, 0.2)}
    return DerivedNetwork(Genotype.parse(code), **options)


def _batch(count: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 8, 8, generator=generator), torch.arange(count) % 10


@pytest.mark.slow
@pytest.mark.parametrize("code", CELLS.values(), ids=CELLS.keys())
def test_finite_on_every_class_of_cells(code: str) -> None:
    network, (images, labels) = _network(code), _batch()
    connected = network.genotype.is_connected
    for name, proxy in PROXIES.items():
        score = proxy(network, images, labels, torch.Generator().manual_seed(0))
        assert isinstance(score, float) and math.isfinite(score), name
        if name.removeprefix("robust_") in SENTINEL_ZERO:
            assert (score == 0) == (not connected), name
    scores = kernel_scores(ntk_kernels(network, images, labels))
    assert tuple(scores) == NTK_NAMES and all(map(math.isfinite, scores.values()))
    assert (scores["ntk_clean_min"] == 0) == (not connected)
    assert (scores["ntk_robust_cond"] == 1e12) == (not connected)


@pytest.mark.slow
def test_sentinels_of_disconnected_cells_are_the_lowest_scores() -> None:
    images, labels = _batch()
    for name in ("jacob_cov", "naswot", "robust_jacob_cov", "robust_naswot"):
        scores = {c: PROXIES[name](_network(c), images, labels) for c in CELLS.values()}
        dead = [s for c, s in scores.items() if not Genotype.parse(c).is_connected]
        alive = [s for c, s in scores.items() if Genotype.parse(c).is_connected]
        assert max(dead) < min(alive), name


@pytest.mark.parametrize("name", PROXIES)
def test_repeatable_and_the_network_is_untouched(name: str) -> None:
    network, (images, labels) = _network("342120"), _batch()
    network.cells[0].eval()
    network.classifier.weight.requires_grad_(False)
    network.classifier.bias.grad = torch.ones(10)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [m.training for m in network.modules()]
    kept, state = images.clone(), torch.get_rng_state()
    first = PROXIES[name](network, images, labels, torch.Generator().manual_seed(0))
    assert PROXIES[name](network, images, labels, torch.Generator().manual_seed(0)) == first
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert [m.training for m in network.modules()] == modes
    assert not network.classifier.weight.requires_grad
    assert torch.equal(network.classifier.bias.grad, torch.ones(10))
    assert all(p.grad is None for p in network.cells.parameters())
    assert not images.requires_grad and torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())


# The random signs of az_trainability belong to places in the batch.
@pytest.mark.parametrize("name", [name for name in PROXIES if name != "az_trainability"])
def test_the_order_of_the_batch_does_not_matter(name: str) -> None:
    network, (images, labels) = _network("342120").double(), _batch()
    images, order = images.double(), torch.tensor([3, 1, 5, 0, 2, 4])
    score = PROXIES[name](network, images, labels)
    permuted = PROXIES[name](network, images[order], labels[order])
    assert permuted == pytest.approx(score, rel=1e-7)


@pytest.mark.parametrize("name", PROXIES)
def test_the_numbering_of_the_classes_does_not_matter(name: str) -> None:
    network, (images, labels) = _network("342120").double(), _batch()
    images = images.double()
    score = PROXIES[name](network, images, labels)
    old_class = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    renumbered = _network("342120").double()
    with torch.no_grad():
        renumbered.classifier.weight.copy_(network.classifier.weight[old_class])
        renumbered.classifier.bias.copy_(network.classifier.bias[old_class])
    new_labels = old_class.argsort()[labels]
    assert PROXIES[name](renumbered, images, new_labels) == pytest.approx(score, rel=1e-9)


def test_a_score_that_raises_leaves_the_network_alone() -> None:
    network, (images, labels) = _network("342120"), _batch()
    for proxy in PROXIES.values():
        modes = [m.training for m in network.modules()]
        with contextlib.suppress(ValueError, RuntimeError):
            proxy(network, images[:, :2], labels)  # Two channels: no network takes them.
        assert [m.training for m in network.modules()] == modes
        assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())


def test_names_and_directions() -> None:
    assert set(LOWER_IS_BETTER) <= set(NTK_NAMES)
    assert not set(PROXIES) & set(NTK_NAMES)
    for name, proxy in PROXIES.items():
        text = proxy.__doc__ or ""
        assert "igher means" in text and "Sentinel" in text, name
    assert isinstance(_network("111111"), nn.Module)
