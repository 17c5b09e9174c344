"""CRoZe on a two-layer linear network, against an independent computation in numpy."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.proxies.common import layers
from supernet.proxies.croze import _stages, croze

Array = NDArray[np.float64]

U = np.array([[0.5, -0.3, 0.2], [-0.4, 0.1, 0.6]])
V = np.array([[0.7, -0.2], [0.3, 0.5], [-0.6, 0.4]])
X = np.array([[0.2, 0.9, 0.4], [0.8, 0.1, 0.5], [0.3, 0.3, 0.98], [0.6, 0.0, 0.7]])
Y = np.array([0, 1, 2, 1])


def _model() -> nn.Module:
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False)
    ).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.from_numpy(U))
        model[2].weight.copy_(torch.from_numpy(V))
    return model


def _run(x: Array, u: Array, v: Array) -> tuple[list[Array], list[Array], Array]:
    """Layer outputs, weight gradients and input gradient of the loss, by the chain rule."""
    h = x @ u.T
    z = h @ v.T
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    r = (p - np.eye(3)[Y]) / len(x)
    return [h, z], [(r @ v).T @ x, r.T @ h], r @ v @ u


def _cos(a: Array, b: Array) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _uphill(w: Array, g: Array, beta: float) -> Array:
    return w + beta * np.sqrt((w * w).sum()) * g / np.sqrt((g * g).sum())


@pytest.mark.parametrize(
    ("beta", "eps", "lr"), [(2.0, 8 / 255, 0.1), (0.3, 0.05, 1.0), (-4.0, 0.05, 0.1)]
)
def test_paper_mode_by_hand(beta: float, eps: float, lr: float) -> None:
    z, g, _ = _run(X, U, V)
    u, v = _uphill(U, g[0], beta), _uphill(V, g[1], beta)
    x_adv = np.clip(X + eps * np.sign(_run(X, u, v)[2]), 0, 1)
    z_adv, g_adv, _ = _run(x_adv, u, v)
    expected = 0.0
    for m, (w, w_adv) in enumerate(((U, u), (V, v))):
        feature = np.mean([_cos(a, b) for a, b in zip(z[m], z_adv[m], strict=True)])
        parameter = _cos(w - lr * g[m], w_adv - lr * g_adv[m])
        expected += float(feature) * parameter * abs(_cos(g[m], g_adv[m]))
    assert abs(expected) > 0.01
    signs = [np.sign(_cos(a, b)) for a, b in zip(g, g_adv, strict=True)]
    assert (-1 in signs) == (beta < 0), "the absolute value must have something to do"
    score = croze(_model(), *_tensors(), beta=beta, eps=eps, lr=lr)
    assert score == pytest.approx(expected, rel=1e-12)


def test_released_mode_by_hand() -> None:
    u0, v0 = np.abs(U), np.abs(V)
    z, g, _ = _run(X, u0, v0)
    u, v = _uphill(u0, g[0], 2.0), _uphill(v0, g[1], 2.0)
    x_adv = np.clip(X - 0.01 * np.sign(_run(X, u, v)[2]), 0, 1)
    z_adv, g_after, _ = _run(x_adv, u, v)
    g_adv = [before + after for before, after in zip(_run(X, u, v)[1], g_after, strict=True)]

    def along_0(a: Array, b: Array) -> list[float]:
        return [_cos(a[:, j], b[:, j]) for j in range(a.shape[1])]

    expected = 0.0
    for m, (w, w_adv) in enumerate(((u0, u), (v0, v))):
        feature = sum(1 + c for c in along_0(z[m], z_adv[m]))
        parameter = sum(1 + c for c in along_0(w, w_adv))
        gradient = sum(abs(c) for c in along_0(g[m], g_adv[m]))
        expected += abs(feature * parameter * gradient)
    assert croze(_model(), *_tensors(), mode="released") == pytest.approx(expected, rel=1e-9)


def test_without_perturbation_every_layer_is_consistent() -> None:
    """beta = eps = 0: all cosines are 1, the score is the number of layers."""
    assert croze(_model(), *_tensors(), beta=0.0, eps=0.0) == pytest.approx(2.0, rel=1e-12)
    network = DerivedNetwork(Genotype.parse("342120"), C=4, N=1).double()
    x, y = torch.rand(6, 3, 8, 8, dtype=torch.float64), torch.arange(6)
    score = croze(network, x, y, beta=0.0, eps=0.0)
    dead = 3  # One per cell: node 2 leads nowhere, the 1x1 convolution into it has no gradient.
    assert score == pytest.approx(len(layers(network)) - dead, rel=1e-6)


def test_repeating_the_batch_changes_nothing_in_paper_mode() -> None:
    x, y = _tensors()
    score = croze(_model(), x, y)
    assert croze(_model(), torch.cat([x, x, x]), torch.cat([y, y, y])) == pytest.approx(score)


def test_released_mode_reads_eight_images() -> None:
    torch.manual_seed(0)
    network = DerivedNetwork(Genotype.parse("342120"), C=4, N=1)
    x, y = torch.rand(12, 3, 8, 8), torch.arange(12) % 10
    score = croze(network, x, y, mode="released")
    assert score == croze(network, x[:8], y[:8], mode="released")
    assert score != croze(network, x[:7], y[:7], mode="released")


def test_released_mode_keeps_batch_norm_in_the_reductions_alone() -> None:
    torch.manual_seed(0)
    network = DerivedNetwork(Genotype.parse("342120"), C=4, N=1)
    x, y = torch.rand(8, 3, 8, 8), torch.arange(8)
    score = croze(network, x, y, mode="released")
    with torch.no_grad():
        network.last_bn.weight.fill_(7.0)
        for layer in layers(network):
            layer.weight.neg_()
    assert croze(network, x, y, mode="released") == pytest.approx(score, rel=1e-9)
    with torch.no_grad():
        network.reductions[0].bn1.weight.fill_(7.0)
    assert croze(network, x, y, mode="released") != pytest.approx(score, rel=1e-6)


def test_released_features_belong_to_stages() -> None:
    """Cells 1 .. N-1 look at the stem, cell N at the reduction behind it, and so on."""
    network = DerivedNetwork(Genotype.parse("200000"), C=4, N=3)
    taps, stages = _stages(network)
    expected_taps: list[Any] = [network.stem, *network.reductions, network.cells[-1]]
    assert [module for module, _ in taps] == [*expected_taps, network.classifier]
    assert [wants_input for _, wants_input in taps] == [False] * 4 + [True]
    cells = [0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert stages == [0, *cells, 1, 1, 1, 2, 2, 2, 4]


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="unknown CRoZe mode 'fast'; choose paper or released"):
        croze(_model(), *_tensors(), mode="fast")


def _tensors() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(X).view(4, 3, 1, 1), torch.from_numpy(Y)
