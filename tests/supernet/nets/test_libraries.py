"""What libraries around torch do with a network: save, copy, flatten, prune, trace."""

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils import parameters_to_vector, prune, vector_to_parameters
from torchvision.models.feature_extraction import create_feature_extractor

from supernet.attacks import pgd
from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.nets.supernet import Supernet

CELL = "324103"


def derived() -> DerivedNetwork:
    """A network that has seen images: running statistics, and recorded ones."""
    net = DerivedNetwork(Genotype.parse(CELL), C=4, N=2, num_classes=4)
    net(torch.rand(8, 3, 8, 8))
    net.fold(x=torch.rand(8, 3, 8, 8))
    return net


def even() -> Tensor:
    return torch.full((6, 5), 0.2)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(4, 3, 8, 8)


@pytest.mark.parametrize("make", [derived, lambda: Supernet(C=4, N=1)])
def test_a_fresh_network_is_contiguous(make: Callable[[], nn.Module]) -> None:
    net = make()
    kernels = [p for p in net.parameters() if p.dim() == 4 and p.shape[-1] == 3]
    assert kernels and all(p.is_contiguous() for p in net.parameters())
    vector = parameters_to_vector(net.parameters())
    vector_to_parameters(2 * vector, net.parameters())
    assert torch.equal(parameters_to_vector(net.parameters()), 2 * vector)
    net.use_layout(torch.channels_last)  # type: ignore[operator]
    assert not any(p.is_contiguous() for p in kernels)
    net.use_layout(torch.contiguous_format)  # type: ignore[operator]
    assert all(p.is_contiguous() for p in net.parameters())


def test_an_attack_is_the_same_for_every_layout(x: Tensor) -> None:
    x, y = x.contiguous(memory_format=torch.channels_last), torch.arange(4)
    net = derived().eval()
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        folded = net.use_layout(layout).fold()
        generator = torch.Generator().manual_seed(1)
        found.append(pgd(folded, x, y, eps=8 / 255, steps=3, generator=generator))
    assert torch.equal(*found) and not torch.equal(found[0], x)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_networks_and_folded_forms_are_saved_and_copied(
    layout: torch.memory_format, x: Tensor
) -> None:
    def through_torch(thing: object) -> object:
        stream = io.BytesIO()
        torch.save(thing, stream)
        stream.seek(0)
        return torch.load(stream, weights_only=False)

    supernet = Supernet(C=4, N=1).use_layout(layout)
    net = derived().use_layout(layout)
    net.eval(), supernet.eval()
    for copied in (through_torch, lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy):
        assert torch.equal(copied(net)(x), net(x))  # type: ignore[operator]
        assert torch.equal(copied(net.fold())(x), net.fold()(x))  # type: ignore[operator]
        assert torch.equal(copied(supernet)(x, even()), supernet(x, even()))  # type: ignore[operator]
        folded = supernet.fold_mixture(even())
        assert torch.equal(copied(folded)(x), folded(x))  # type: ignore[operator]
    second = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.zero_()
    assert net(x).abs().max() > 0 and second(x).abs().max() == 0


def test_safetensors(tmp_path: Path, x: Tensor) -> None:
    files = pytest.importorskip("safetensors.torch")
    net, other = derived().eval(), DerivedNetwork(Genotype.parse(CELL), C=4, N=2, num_classes=4)
    files.save_file(net.state_dict(), tmp_path / "net.safetensors")
    other.load_state_dict(files.load_file(tmp_path / "net.safetensors"))
    assert torch.equal(other.eval()(x), net(x))


def test_pruned_weights_are_zero_and_fold(x: Tensor) -> None:
    net = derived()
    convolutions = [(m, "weight") for m in net.modules() if isinstance(m, nn.Conv2d)]
    prune.l1_unstructured(net.stem[0], "weight", 0.5)
    assert (net.stem[0].weight == 0).sum() == net.stem[0].weight.numel() // 2
    prune.global_unstructured(convolutions, prune.L1Unstructured, amount=0.3)
    net.eval()(x)
    torch.testing.assert_close(net.fold()(x), net(x), rtol=1e-4, atol=1e-5)


def test_lbfgs_lowers_the_loss(x: Tensor) -> None:
    net, y = derived(), torch.arange(4)
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=5, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    before = closure().item()
    optimiser.step(closure)  # type: ignore[arg-type]
    assert closure().item() < 0.8 * before


@pytest.mark.parametrize("training", [False, True])
def test_a_traced_network_is_the_network(training: bool, x: Tensor) -> None:
    net = derived().train(training)
    state = copy.deepcopy(net.state_dict())
    traced = fx.symbolic_trace(copy.deepcopy(net))
    assert not traced(torch.rand(1, 3, 8, 8)).isnan().any()
    traced = fx.symbolic_trace(net)
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), f"tracing changed {name}"
    norms = [node for node in traced.graph.nodes if str(node.target).endswith("bn")]
    assert norms and all(node.op == "call_module" for node in norms)
    assert torch.equal(pickle.loads(pickle.dumps(traced))(x), net(x))
    with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\)"):
        traced(torch.rand(1, 3, 8, 10))


def test_features_of_torchvisions_extractor(x: Tensor) -> None:
    net = derived().eval()
    seen: dict[str, Tensor] = {}
    hook = net.cells[1].register_forward_hook(lambda m, i, output: seen.update(cell=output))
    net(x)
    hook.remove()
    features = create_feature_extractor(net, {"cells.1": "cell", "classifier": "logits"}).eval()(x)
    assert torch.equal(features["cell"], seen["cell"])
    assert torch.equal(features["logits"], net(x))


def test_other_classifiers_fold_or_are_refused(x: Tensor) -> None:
    net = derived().eval()
    features = net.forward_features(x)
    net.classifier = nn.Identity()
    torch.testing.assert_close(net.fold()(x), features.mean((2, 3)), rtol=1e-4, atol=1e-5)
    net.global_pool = ""
    torch.testing.assert_close(net.fold()(x), features, rtol=1e-4, atol=1e-5)
    net.global_pool, net.classifier = "avg", nn.Linear(16, 3, bias=False)
    torch.testing.assert_close(net.fold()(x), net(x), rtol=1e-4, atol=1e-5)
    net.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16, 3))
    with pytest.raises(ValueError, match=r"classifier is a Sequential; folding needs an nn\.Linea"):
        net.fold()
