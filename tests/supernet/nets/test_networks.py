"""The skeleton's size, inheritance, and the folded networks against the networks they fold."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.nets.supernet import Supernet
from tests.supernet.nets.inherited import inherit, one_hot

CELLS = ["421211", "334034", "111020", "333333", "222222", "111111", "444444", "000000", "333133"]


def shuffle_norms(network: nn.Module) -> None:
    """Statistics and scales that no default hides behind."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            if norm.affine:
                nn.init.normal_(norm.weight, 1.0, 0.2)
                nn.init.normal_(norm.bias, std=0.2)


def small_supernet(**options: object) -> Supernet:
    settings = {"C": 3, "N": 2, "num_classes": 4, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}
    net = Supernet(**{**settings, **options}).double()
    shuffle_norms(net)
    return net


def random_weights() -> Tensor:
    return torch.randn(6, 5, dtype=torch.float64).softmax(dim=1)


def logits_and_gradient(model: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    logits = model(x)
    y = torch.arange(len(x)) % logits.shape[1]
    return logits.detach(), torch.autograd.grad(F.cross_entropy(logits, y), x)[0]


@pytest.mark.parametrize("code", CELLS)
def test_the_closed_forms_count_the_network(code: str) -> None:
    cell = Genotype.parse(code)
    network = DerivedNetwork(cell)
    assert sum(p.numel() for p in network.parameters()) == cell.params()
    macs = _count_multiply_adds(network, torch.zeros(1, 3, 32, 32))
    # One more per class: the published FLOPs count the classifier's bias.
    assert macs + 10 == cell.flops()


def test_the_closed_forms_hold_for_other_sizes() -> None:
    cell = Genotype.parse("324103")
    network = DerivedNetwork(cell, C=5, N=2, num_classes=7)
    assert sum(p.numel() for p in network.parameters()) == cell.params(7, C=5, N=2)
    macs = _count_multiply_adds(network, torch.zeros(1, 3, 16, 16))
    assert macs + 7 == cell.flops(7, 16, C=5, N=2)


def _count_multiply_adds(network: nn.Module, x: Tensor) -> int:
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        per_output = module.weight[0].numel()
        total += output.numel() * per_output

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        network.eval()(x)
    for hook in hooks:
        hook.remove()
    return total


def test_supernet_parameters_are_those_of_all_operators() -> None:
    # Each edge holds a 1x1 and a 3x3 convolution; searchable norms have no parameters.
    net = Supernet(C=16, N=5)
    per_stage = [6 * 10 * c * c for c in (16, 32, 64)]
    assert sum(p.numel() for p in net.stacks.parameters()) == 5 * sum(per_stage)


@pytest.mark.slow
@pytest.mark.parametrize("C, N", [(3, 2), (5, 1)])
def test_folding_a_supernet_with_running_statistics(C: int, N: int) -> None:
    net, w_EO = small_supernet(C=C, N=N).eval(), random_weights()
    x = torch.rand(5, 3, 8, 12, dtype=torch.float64)
    expected, gradient = logits_and_gradient(lambda x: net(x, w_EO), x)
    logits, folded_gradient = logits_and_gradient(net.fold_mixture(w_EO), x)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    assert gradient.abs().max() > 1e-4
    torch.testing.assert_close(folded_gradient, gradient, rtol=1e-10, atol=1e-12)


def test_folding_a_cell_with_batch_statistics() -> None:
    net, ops = small_supernet().train(), (3, 2, 1, 4, 3, 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.rand(5, 3, 8, 12, dtype=torch.float64)
    folded = net.fold_cell(ops, x=x)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), f"folding changed {name}"
    assert net.training
    torch.testing.assert_close(folded(x), net.forward_cell(x, ops), rtol=1e-10, atol=1e-10)
    # In another batch the frozen statistics stay those of x.
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.batch_statistics is not None:
            norm.running_mean.copy_(norm.batch_statistics[0])
            norm.running_var.copy_(norm.batch_statistics[1])
    other = torch.rand(3, 3, 8, 12, dtype=torch.float64)
    expected, gradient = logits_and_gradient(lambda x: net.eval().forward_cell(x, ops), other)
    logits, folded_gradient = logits_and_gradient(folded, other)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(folded_gradient, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("code", ["333333", "323104", "111111", "000000", "304021"])
def test_an_inherited_network_is_the_supernet_with_one_hot_weights(code: str) -> None:
    net, cell = small_supernet().eval(), Genotype.parse(code)
    derived = inherit(net, cell).eval()
    w_EO = one_hot(cell, random_weights())
    x = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    expected, gradient = logits_and_gradient(lambda x: net(x, w_EO), x)
    models = (
        derived, lambda x: net.forward_cell(x, cell.ops), derived.fold(), net.fold_cell(cell.ops),
        net.fold_mixture(w_EO),
    )  # fmt: skip
    for model in models:
        logits, other_gradient = logits_and_gradient(model, x)
        torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-10, atol=1e-12)
    # In training mode as well, where batch statistics are computed anew.
    expected = net.train()(x, w_EO)
    torch.testing.assert_close(derived.train()(x), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(net.forward_cell(x, cell.ops), expected, rtol=1e-9, atol=1e-9)


def test_normalisation_is_inside() -> None:
    net = Supernet(C=2, N=1, mean=(0.5, 0.25, 0.75), std=(0.5, 0.25, 0.125))
    x = torch.tensor([1.0, 0.5, 0.5]).view(1, 3, 1, 1)
    assert net.normalize(x).flatten().tolist() == [1.0, 1.0, -2.0]


def test_wrong_images_and_sizes_are_refused() -> None:
    net = Supernet(C=2, N=1)
    w_EO = torch.full((6, 5), 0.2)
    for shape in ((1, 1, 8, 8), (1, 3, 8, 10), (3, 8, 8)):
        for model in (lambda x: net(x, w_EO), net.fold_mixture(w_EO)):
            with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\)"):
                model(torch.rand(shape))
    with pytest.raises(ValueError, match="the network has C=0 and N=5; both must be at least 1"):
        Supernet(C=0)
    for num_classes in (-1, 0, 1):
        with pytest.raises(ValueError, match=f"num_classes is {num_classes}; a network needs at "):
            Supernet(C=2, num_classes=num_classes)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_activations_have_the_layout_that_was_asked_for(layout: torch.memory_format) -> None:
    net = Supernet(C=4, N=1, impl="reference").use_layout(layout)
    seen: list[torch.Tensor] = []
    for cell in net.cells:
        cell.register_forward_hook(lambda _, inputs, output: seen.extend((inputs[0], output)))
    net(torch.rand(2, 3, 8, 8), torch.full((6, 5), 0.2))
    assert len(seen) == 6
    assert all(t.is_contiguous(memory_format=layout) for t in seen)


@pytest.mark.parametrize("make", [
    lambda: DerivedNetwork(Genotype.parse("333133"), C=4, N=1, num_classes=1),
    lambda: Supernet(C=4, N=1, num_classes=1),
])  # fmt: skip
def test_one_class_is_no_question(make: Callable[[], object]) -> None:
    """Folders, packs and saved networks of one class are refused where they are read."""
    with pytest.raises(ValueError, match="num_classes is 1; a network needs at least 2"):
        make()
