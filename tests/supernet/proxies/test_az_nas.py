"""The parts of AZ-NAS where spectra and Jacobians are known."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.proxies.az_nas import AZ_NAMES, FLOOR, LOWEST, _chain, az_nas, entropy
from supernet.proxies.common import scratch
from supernet.proxies.registry import PROXIES

LABELS = torch.zeros(1, dtype=torch.long)
UNCORRELATED = torch.tensor([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).double()
"""(3, 4): the channels at the four pixels of a 2x2 image."""


def _image(*sizes: float) -> Tensor:
    """(1, 3, 2, 2): uncorrelated channels with these standard deviations, of mean 5."""
    return (5 + torch.tensor(sizes).double()[:, None] * UNCORRELATED).view(1, 3, 2, 2)


def _conv(weight: Tensor, stride: int = 1) -> nn.Conv2d:
    C_out, C_in, side, _ = weight.shape
    conv = nn.Conv2d(C_in, C_out, side, stride=stride, bias=False).double()
    conv.weight.data.copy_(weight)
    return conv


def test_entropy_of_known_variances() -> None:
    shares = torch.tensor([1.0, 4, 9]) / 14
    expected = -(shares * shares.log()).sum().item()
    assert entropy(_image(1, 2, 3)) == pytest.approx(expected, rel=1e-6)
    assert entropy(_image(1, 1, 1)) == pytest.approx(math.log(3))
    # Directions count, not channels: turned by an orthogonal matrix it is the same.
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    turned = torch.einsum("dc,bchw->bdhw", turn, _image(1, 2, 3))
    assert entropy(turned) == pytest.approx(expected, rel=1e-6)
    # Images count alike: two halves of the pixels are two images.
    halves = torch.cat(_image(1, 2, 3).split(1, dim=2))
    assert halves.shape == (2, 3, 1, 2) and entropy(halves) == pytest.approx(expected, rel=1e-6)
    assert entropy(torch.full((2, 3, 2, 2), 5.0)) == 0
    assert entropy(_image(0, 2, 0)) == pytest.approx(0, abs=1e-12)


def test_expressivity_and_progressivity_of_a_chain() -> None:
    """The first block makes variances of 1, 4 and 9 equal, the second keeps two of the channels."""
    even = torch.tensor([1, 1 / 2, 1 / 3]).double().diag()[..., None, None]
    keep = torch.eye(3, dtype=torch.float64)[:2, :, None, None]
    model = nn.Sequential(nn.Identity(), _conv(even), _conv(keep))
    scores = az_nas(model, _image(1, 2, 3), LABELS)
    stem = entropy(_image(1, 2, 3))
    assert scores["az_expressivity"] == pytest.approx(stem + math.log(3) + math.log(2))
    assert scores["az_progressivity"] == pytest.approx(math.log(2) - math.log(3))
    assert stem < math.log(3), "so that the first block adds"


def test_trainability_of_blocks_with_one_output_channel() -> None:
    """A sign times itself is 1: the matrix is the block's weight, whatever the signs."""
    w = torch.randn(1, 3, 1, 1, dtype=torch.float64)
    halving = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    model = nn.Sequential(nn.Identity(), _conv(w), _conv(halving, stride=2))
    terms = [2 - s - 1 / (s + FLOOR) for s in (w.norm().item(), halving.norm().item())]
    score = PROXIES["az_trainability"](model, torch.rand(5, 3, 4, 4).double(), LABELS)
    assert score == pytest.approx(sum(terms) / 2, rel=1e-12)


def test_trainability_estimates_the_mean_jacobian() -> None:
    weight = torch.tensor([[3.0, 0], [0, 0.5]])[..., None, None].double()
    model = nn.Sequential(nn.Identity(), _conv(weight), nn.ReLU())
    x = torch.randn(200, 2, 8, 8, dtype=torch.float64)
    found = az_nas(model, x, LABELS)["az_trainability"]
    # ReLU passes half of the pixels on.
    assert found == pytest.approx(((2 - 3 - 1 / 3) + (2 - 0.5 - 2)) / 2, abs=0.03)


def test_blocks_that_pass_nothing_or_the_same() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

    for block in (nn.Identity(), Constant()):
        scores = az_nas(nn.Sequential(nn.Identity(), block), _image(1, 2, 3), LABELS)
        assert scores["az_trainability"] == pytest.approx(LOWEST, rel=1e-5)


def test_the_chain_is_the_network() -> None:
    network = scratch(DerivedNetwork(Genotype.parse("342120"), C=4, N=2))
    images = torch.rand(3, 3, 8, 8)
    x, blocks = _chain(network, images)
    blocks = list(blocks)
    assert len(blocks) == 3 * 2 + 2
    for block in blocks:
        x = block(x)
    torch.testing.assert_close(F.relu(network.last_bn(x)), network.forward_features(images))


def test_the_three_are_parts_of_one_pass() -> None:
    network = DerivedNetwork(Genotype.parse("342120"), C=4, N=1)
    images = torch.rand(3, 3, 8, 8)
    scores = az_nas(network, images, LABELS, torch.Generator().manual_seed(1))
    assert tuple(scores) == AZ_NAMES
    for name in AZ_NAMES:
        generator = torch.Generator().manual_seed(1)
        assert PROXIES[name](network, images, LABELS, generator) == scores[name]
    other = az_nas(network, images, LABELS, torch.Generator().manual_seed(2))
    assert other["az_trainability"] != scores["az_trainability"]
    assert other["az_expressivity"] == scores["az_expressivity"]
