"""Kernels of models whose kernel is known in closed form, and the scores of known spectra."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from supernet.attacks import fgsm
from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.proxies.common import calibrate, scratch
from supernet.proxies.ntk import Kernels, _gram, _groups, gram, ntk_kernels, sketched_gram
from supernet.proxies.ntk_scores import (
    NTK_NAMES,
    condition_number,
    frobenius,
    kernel_scores,
    min_eigenvalue,
    spectrum,
    trace,
)

K = 4


def _linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, K)).double().eval()


def _two_layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, K)).double().eval()


def _images(count: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 2, 2, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("outputs", ["sum", "trace"])
def test_linear_model(outputs: str) -> None:
    """K (x.x' + 1): every class has the gradient (x, 1), and classes do not overlap."""
    flat = _images().flatten(1)
    kernel = gram(_linear(), _images(), outputs=outputs)
    torch.testing.assert_close(kernel, K * (flat @ flat.T + 1), atol=1e-8, rtol=0)


@pytest.mark.parametrize("outputs", ["sum", "trace"])
@pytest.mark.parametrize("memory_limit", [1, 5000, 1 << 30])
@pytest.mark.parametrize("chunk", [1, 2, 16])
def test_two_layer_network(outputs: str, memory_limit: int, chunk: int) -> None:
    """f = V relu(U x + a) + b, on = (U x + a > 0). Every gradient written out."""
    model, x = _two_layers(), _images().flatten(1)
    U, a, V = model[1].weight.detach(), model[1].bias.detach(), model[3].weight.detach()
    before = x @ U.T + a
    h, on = before.relu(), (before > 0).double()
    assert 0.2 < on.mean() < 0.8
    second = K * (h @ h.T + 1)
    if outputs == "sum":
        back = on * V.sum(0)
        overlap = back @ back.T
    else:
        overlap = sum((on * V[k]) @ (on * V[k]).T for k in range(K))
    expected = second + overlap * (x @ x.T + 1)
    kernel = gram(model, _images(), outputs=outputs, memory_limit=memory_limit, chunk=chunk)
    torch.testing.assert_close(kernel, expected, atol=1e-8, rtol=0)


def _derived(code: str = "342120") -> tuple[DerivedNetwork, Tensor, Tensor]:
    torch.manual_seed(0)
    network = DerivedNetwork(Genotype.parse(code), C=4, N=1).double()
    return network, torch.rand(6, 3, 8, 8, dtype=torch.float64), torch.arange(6)


def test_kernel_of_a_cell_is_that_of_plain_backward_passes() -> None:
    network, x, _ = _derived()
    calibrate(network, x)
    rows = []
    for image in x:
        network.zero_grad()
        network(image[None]).sum().backward()
        rows.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    j = torch.stack(rows)
    torch.testing.assert_close(gram(network, x), j @ j.T, atol=1e-8, rtol=1e-9)


def test_all_kernels_are_symmetric_and_positive_semi_definite() -> None:
    network, x, y = _derived()
    kernels = ntk_kernels(network, x, y)
    for kernel in (
        kernels.clean,
        kernels.robust,
        kernels.twice,
        kernels.k_all(0.3),
        kernels.k_all_robust(0.7),
    ):
        torch.testing.assert_close(kernel, kernel.T, atol=0, rtol=1e-14)
        values = torch.linalg.eigvalsh(kernel)
        assert values[0] > -1e-10 * values[-1]
    assert not torch.allclose(kernels.cross, kernels.cross.T)


def test_each_kernel_is_of_the_images_it_says() -> None:
    network, x, y = _derived()
    kernels = ntk_kernels(network, x, y, eps=0.05)
    copied = scratch(network)
    calibrate(copied, x)
    once = fgsm(copied, x, y, eps=0.05)
    again = fgsm(copied, once, y, eps=0.05)
    assert (again - x).abs().max() > 0.05 + 1e-9, "the second attack starts from the first's images"
    both = gram(copied, torch.cat([x, once]))
    torch.testing.assert_close(kernels.clean, both[:6, :6])
    torch.testing.assert_close(kernels.cross, both[:6, 6:])
    torch.testing.assert_close(kernels.robust, gram(copied, once))
    both = gram(copied, torch.cat([once, again]))
    torch.testing.assert_close(kernels.twice, both[6:, 6:])
    torch.testing.assert_close(kernels.cross_twice, both[:6, 6:])
    assert not torch.allclose(kernels.robust, kernels.clean, rtol=1e-3)


def test_without_perturbation_all_kernels_are_the_clean_one() -> None:
    network, x, y = _derived()
    kernels = ntk_kernels(network, x, y, eps=0.0)
    others = (kernels.robust, kernels.cross, kernels.twice, kernels.cross_twice)
    for kernel in (*others, kernels.k_all(0.4), kernels.k_all_robust(0.4)):
        torch.testing.assert_close(kernel, kernels.clean, rtol=1e-10, atol=0)


def test_mixed_kernels() -> None:
    """K_all is the kernel of the mixed gradients (1-b) grad f(x) + b grad f(A(x))."""
    j = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, a, aa = j
    kernels = Kernels(x @ x.T, a @ a.T, x @ a.T, aa @ aa.T, a @ aa.T)
    for beta in (0.0, 0.3, 1.0):
        mixed = (1 - beta) * x + beta * a
        torch.testing.assert_close(kernels.k_all(beta), mixed @ mixed.T)
        mixed = (1 - beta) * a + beta * aa
        torch.testing.assert_close(kernels.k_all_robust(beta), mixed @ mixed.T)
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\]"):
        kernels.k_all(1.5)


def test_the_mean_over_all_sketches_is_the_trace_kernel() -> None:
    """All 2^K sign vectors: the estimate is unbiased, exactly."""
    model, x = _two_layers(), _images()
    total = torch.zeros(5, 5, dtype=torch.float64)
    for signs in itertools.product((-1.0, 1.0), repeat=K):
        v_K = torch.tensor(signs, dtype=torch.float64)
        total += _gram(model, x, v_K, K, 1 << 20, 16)
    exact = gram(model, x, outputs="trace")
    torch.testing.assert_close(total / 2**K, exact, atol=1e-8, rtol=0)
    one = _gram(model, x, torch.tensor([1.0, -1, 1, 1], dtype=torch.float64), K, 1 << 20, 16)
    assert not torch.allclose(one, exact, rtol=1e-3)


@pytest.mark.slow
def test_sketch_is_close_and_gets_closer() -> None:
    network, x, _ = _derived()
    calibrate(network, x)
    exact = gram(network, x, outputs="trace")

    def error(sketches: int) -> float:
        generator = torch.Generator().manual_seed(0)
        sketched = sketched_gram(network, x, generator, sketches=sketches)
        assert torch.equal(sketched, sketched.T) and torch.linalg.eigvalsh(sketched)[0] > 0
        return ((sketched - exact).norm() / exact.norm()).item()

    assert error(40) < 0.15
    assert error(40) < error(1) < 1
    with pytest.raises(ValueError, match="sketches must be at least 1, got 0"):
        error(0)


def test_groups_of_parameters_stay_below_the_limit() -> None:
    sizes = {"a": 3, "b": 4, "c": 9, "d": 1, "e": 5, "f": 1}
    parameters = {name: torch.zeros(size) for name, size in sizes.items()}
    assert list(_groups(parameters, 7)) == [["a", "b"], ["c"], ["d", "e", "f"]]
    assert list(_groups(parameters, 0)) == [[name] for name in sizes]
    assert list(_groups(parameters, 99)) == [list(sizes)]


def test_batch_statistics_are_refused() -> None:
    network, x, _ = _derived()
    for kernel in (gram, sketched_gram):
        with pytest.raises(ValueError, match="batch statistics couple the images"):
            kernel(network, x)
    assert network.last_bn.num_batches_tracked == 0, "refused before anything ran"
    network.eval()
    with pytest.raises(ValueError, match="unknown outputs 'mean'; choose sum or trace"):
        gram(network, x, outputs="mean")
    with pytest.raises(ValueError, match="sketches estimate the kernel of outputs 'trace', not"):
        ntk_kernels(network, x, torch.zeros(len(x), dtype=torch.long), sketches=2)


def test_scores_of_a_known_spectrum() -> None:
    q, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    values = torch.tensor([0.5, 1.0, 2.0, 8.0], dtype=torch.float64)
    kernel = q @ values.diag() @ q.T
    torch.testing.assert_close(spectrum(kernel), values)
    assert min_eigenvalue(kernel) == pytest.approx(0.5)
    assert condition_number(kernel) == pytest.approx(16.0)
    assert trace(kernel) == pytest.approx(11.5)
    assert frobenius(kernel) == pytest.approx(values.square().sum().sqrt().item())


@pytest.mark.parametrize("kernel", [torch.ones(3, 3).double(), torch.zeros(3, 3).double()])
def test_scores_of_a_singular_kernel_do_not_show_rounding(kernel: Tensor) -> None:
    assert min_eigenvalue(kernel) == 0
    assert condition_number(kernel) == 1e12


def test_kernel_scores_name_every_kernel_and_measure() -> None:
    network, x, y = _derived()
    kernels = ntk_kernels(network, x, y)
    scores = kernel_scores(kernels)
    assert tuple(scores) == NTK_NAMES
    assert scores["ntk_robust_trace"] == trace(kernels.robust)
    assert scores["ntk_all_robust_min"] == min_eigenvalue(kernels.k_all_robust(0.5))
