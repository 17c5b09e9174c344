"""Every score on a small model where its value follows from a formula."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.proxies.common import calibrate, scratch
from supernet.proxies.jacob_cov import K
from supernet.proxies.naswot import FLOOR
from supernet.proxies.registry import PROXIES
from supernet.proxies.robust import attacked, robust


def _softmax_regression() -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor]:
    """Model, images, labels, W (K, D), and dL/dlogits (B, K) = (softmax - one_hot) / B."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).double()
    x = torch.rand(4, 3, 2, 2, dtype=torch.float64)
    y = torch.tensor([0, 1, 4, 1])
    W = model[1].weight.detach()
    logits = x.flatten(1) @ W.T + model[1].bias.detach()
    residual = (logits.softmax(1) - F.one_hot(y, 5)) / 4
    return model, x, y, W, residual


def test_gradnorm_of_softmax_regression() -> None:
    model, x, y, _, residual = _softmax_regression()
    expected = (residual.T @ x.flatten(1)).norm().item()
    assert PROXIES["gradnorm"](model, x, y) == pytest.approx(expected, rel=1e-12)


def test_gradnorm_sums_the_norms_of_the_layers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Linear(3, 2, bias=False)).double()
    x, y = torch.rand(4, 3, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    F.cross_entropy(model(x), y).backward()
    expected = sum(model[i].weight.grad.norm().item() for i in (1, 2))
    assert PROXIES["gradnorm"](model, x, y) == pytest.approx(expected, rel=1e-12)


def test_snip_of_softmax_regression() -> None:
    model, x, y, W, residual = _softmax_regression()
    expected = (W * (residual.T @ x.flatten(1))).abs().sum().item()
    assert PROXIES["snip"](model, x, y) == pytest.approx(expected, rel=1e-12)


def test_grasp_of_softmax_regression() -> None:
    """The Hessian of softmax cross-entropy: H g has logits' part B^-1 (diag(p) - p p^T) g x."""
    model, x, y, W, residual = _softmax_regression()
    flat = x.flatten(1)
    p = residual * 4 + F.one_hot(y, 5)
    direction = flat @ (residual.T @ flat).T
    curved = (p * direction - p * (p * direction).sum(1, keepdim=True)) / 4
    expected = -(W * (curved.T @ flat)).sum().item()
    assert PROXIES["grasp"](model, x, y) == pytest.approx(expected, rel=1e-12)


def test_fisher_of_softmax_regression() -> None:
    model, x, y, _, residual = _softmax_regression()
    logits = model(x).detach()
    expected = (logits * residual).square().mean(0).sum().item() / 2
    assert PROXIES["fisher"](model, x, y) == pytest.approx(expected, rel=1e-12)


def test_fisher_sums_over_pixels_before_it_squares() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2), nn.Flatten()).double()
    x, y = torch.rand(5, 3, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])
    logits = model(x).detach()
    residual = (logits.softmax(1) - F.one_hot(y, 4)) / 5
    expected = (logits * residual).square().mean(0).sum().item() / 2
    assert PROXIES["fisher"](model, x, y) == pytest.approx(expected, rel=1e-12)


def test_synflow_of_a_chain_is_the_flow_times_the_number_of_layers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 6, bias=False),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Linear(6, 3, bias=False),
    )
    x, y = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 1])
    flow = (model[4].weight.abs().double() @ model[1].weight.abs().double()).sum().item()
    assert PROXIES["synflow"](model, x, y) == pytest.approx(2 * flow, rel=1e-12)


def test_jacob_cov_of_a_linear_model_is_that_of_identical_gradients() -> None:
    model, x, y, _, _ = _softmax_regression()
    # Rounding leaves eigenvalues of about 1e-16 where the limit has zero: 1 / k moves by 1e-6.
    expected = -(math.log(4 + K) + 1 / (4 + K) + 3 * (math.log(K) + 1 / K))
    assert PROXIES["jacob_cov"](model, x, y) == pytest.approx(expected, rel=1e-9)


def test_jacob_cov_of_uncorrelated_gradients_is_the_highest() -> None:
    class HalfSquare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).square() / 2  # Its gradient is the image.

    rows = torch.tensor([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], dtype=torch.float64)
    x = (5 + rows).view(3, 1, 2, 2)  # The mean of a row is taken off.
    expected = -3 * (math.log(1 + K) + 1 / (1 + K))
    score = PROXIES["jacob_cov"](HalfSquare(), x, torch.zeros(3, dtype=torch.long))
    assert score == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True)])
def test_naswot_counts_units_alike(relu: nn.Module) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False), relu)
    nn.init.eye_(model[1].weight)
    x = torch.tensor([[1.0, 1, -1], [1, -1, -1], [-1, 1, 1]]).view(3, 3, 1, 1)
    # On: 110, 100, 011. Alike: 2 for images 1 and 2, 1 for 1 and 3, 0 for 2 and 3.
    kernel = torch.tensor([[3.0, 2, 1], [2, 3, 0], [1, 0, 3]])
    score = PROXIES["naswot"](model, x, torch.zeros(3, dtype=torch.long))
    assert score == pytest.approx(kernel.det().abs().log().item(), rel=1e-6)


def test_naswot_of_images_that_switch_alike_is_floored() -> None:
    model = nn.Sequential(nn.Flatten(), nn.ReLU())
    x = torch.ones(3, 3, 2, 2)
    score = PROXIES["naswot"](model, x, torch.zeros(3, dtype=torch.long))
    assert score == pytest.approx(math.log(3 * 12) + 2 * math.log(FLOOR), rel=1e-9)


@pytest.mark.parametrize("code", ["420211", "334031", "111020", "333333", "222222", "000000"])
def test_params_and_flops_are_the_closed_forms(code: str) -> None:
    cell = Genotype.parse(code)
    for C, N, side in ((16, 5, 32), (4, 2, 16)):
        network = DerivedNetwork(cell, C=C, N=N)
        x, y = torch.rand(2, 3, side, side), torch.tensor([0, 1])
        assert PROXIES["params"](network, x, y) == cell.params(10, C, N)
        assert PROXIES["flops"](network, x, y) == cell.flops(10, side, C, N)


def test_attacked_images_of_softmax_regression() -> None:
    model, x, y, W, residual = _softmax_regression()
    expected = (x + 8 / 255 * (residual @ W).sign().view_as(x)).clamp(0, 1)
    x_adv = attacked(model, x, y)
    torch.testing.assert_close(x_adv, expected)
    assert robust(PROXIES["snip"])(model, x, y) == PROXIES["snip"](model, expected, y)
    assert PROXIES["robust_snip"](model, x, y) != PROXIES["snip"](model, x, y)


def test_calibrated_eval_mode_is_training_mode_without_coupling() -> None:
    torch.manual_seed(0)
    network = DerivedNetwork(Genotype.parse("342120"), C=4, N=2).double()
    x = torch.rand(6, 3, 8, 8, dtype=torch.float64)
    copied = scratch(network)
    in_training = copied(x).detach()
    calibrate(copied, x)
    assert not any(m.training for m in copied.modules())
    torch.testing.assert_close(copied(x), in_training)
    torch.testing.assert_close(copied(x[:1]), in_training[:1])
    assert network.training and network.last_bn.running_mean.eq(0).all()
