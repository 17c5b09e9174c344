import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from PIL import Image
from pyautoattack import AutoAttack
from safetensors.torch import save
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.train.export import load_images_of, load_model, safetensors_bytes, save_model
from tests.supernet.train.cells import CODES, trained


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, DerivedNetwork]:
    network = DerivedNetwork(
        Genotype.parse("313021"), C=4, N=2, num_classes=7, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)
    )
    network(torch.rand(8, 3, 16, 16))  # running statistics other than at the start
    return save_model(tmp_path / "run", network, {"dataset": "digits"}), network.eval()


def test_what_was_saved_comes_back(saved: tuple[Path, DerivedNetwork]) -> None:
    path, network = saved
    x = torch.rand(3, 3, 16, 16)
    for named in (path, path.parent, str(path)):
        loaded, metadata = load_model(named)
        assert not loaded.training
        assert torch.equal(loaded(x), network(x))
        assert metadata["dataset"] == "digits" and metadata["code"] == "313021"
    state = torch.load(path, weights_only=True)
    assert all(type(value) is torch.Tensor for value in state.values())
    assert sorted(p.name for p in path.parent.iterdir()) == ["model.json", "model.pt"]


def test_damage_is_named(saved: tuple[Path, DerivedNetwork]) -> None:
    path, _ = saved
    whole, metadata = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
    with pytest.raises(UserError, match=r"there is no model .*other\.pt"):
        load_model(path.with_name("other.pt"))
    for damage in (whole[: len(whole) // 2], b"", b"<html>"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"weights .*model\.pt cannot be read"):
            load_model(path)
    path.write_bytes(whole)
    path.with_suffix(".json").write_text(json.dumps({**metadata, "code": "", "arch": "333333"}))
    with pytest.raises(UserError, match=r"model\.pt and model\.json do not fit together"):
        load_model(path)
    path.with_suffix(".json").write_text(json.dumps({**metadata, "format": 9}))
    with pytest.raises(
        UserError,
        match=r"by another version \(format 9; this version reads format 1",
    ):
        load_model(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(UserError, match=r"model\.json is missing"):
        load_model(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("ant", "bee"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 20)).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def test_pictures_have_the_side_of_the_training_by_whatever_name(pictures: Path) -> None:
    facts = {"dataset": "folder:elsewhere", "image_size": 16, "side": None, "num_classes": 2}
    named = f"folder:{pictures}"
    assert load_images_of(facts, named).image_size == 16
    assert load_images_of({**facts, "dataset": named}, None).image_size == 16
    assert load_images_of(facts, named, side=8).image_size == 8
    assert load_images_of({**facts, "image_size": "8"}, named).image_size == 16  # automatic
    assert load_images_of({**facts, "num_classes": 10}, "digits").image_size == 16


def test_held_out_pictures_of_the_training_are_found_again(pictures: Path, tmp_path: Path) -> None:
    for name, count in (("ant", 2), ("bee", 3)):
        (tmp_path / "held" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (20, 20)).save(tmp_path / "held" / name / f"{number}.png")
    named, val = f"folder:{pictures}", str(tmp_path / "held")
    facts = {"dataset": named, "val": val, "image_size": 16, "num_classes": 2}
    assert load_images_of(facts, None).test_y.bincount().tolist() == [2, 3]
    assert load_images_of({**facts, "val": None}, None, val=val).test_y.bincount().tolist() == [
        2,
        3,
    ]
    # Other pictures have held-out ones of their own.
    assert len(load_images_of(facts, f"folder:{tmp_path / 'held'}", limit=0).test_y) == 2


def test_images_of_other_classes_are_refused(pictures: Path) -> None:
    facts = {"dataset": f"folder:{pictures}", "image_size": 8, "num_classes": 2}
    assert load_images_of({**facts, "class_names": ["ant", "bee"]}, None).num_classes == 2
    # Capitals go before small letters: bee is 0 where the network's 0 is ant.
    (pictures / "bee").rename(pictures / "Bee")
    with pytest.raises(UserError, match=r"is called Bee where the network's is ant, and labels"):
        load_images_of({**facts, "class_names": ["ant", "bee"]}, None)
    with pytest.raises(UserError, match="the network has 2 classes and digits has 10; give"):
        load_images_of(facts, "digits")
    with pytest.raises(UserError, match=r"model\.json names no data set; give --dataset"):
        load_images_of({"num_classes": 2}, None)


@pytest.mark.parametrize("name", ["genotype.json", "model.json"])
def test_a_file_without_weights_is_told_from_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=rf"{name} holds no weights; name the model\.pt that"):
        load_model(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"N": 10**30}, "N is a number above|N is 10+, not a whole number"),
        (
            {"N": 10**9, "arch": Genotype.parse("000000").arch},
            "N = 1000000000, which is not from 1",
        ),
        ({"num_classes": 100_000}, "do not fit together"),
        ({"C": 4096}, "do not fit together"),
        ({"C": 0}, "C = 0, which is not from 1 to 4,096"),
        ({"C": "4"}, "C is '4', not a whole number"),
        ({"mean": [0.1]}, "mean has 1 items, not 3"),
        ({"std": [0.0, 1.0, 1.0]}, r"std\[0\] is 0.0, not a finite number from 1e-06"),
        ({"num_classes": 1}, "num_classes is 1; a network needs at least 2"),
        ({"image_size": 10**6}, "image_size is 1000000, not a whole number from 1"),
        ({"class_names": "ant"}, "class_names is 'ant', not a list"),
        ({"dataset": ["digits"]}, "dataset is list, not text"),
        ({"training": {"data": {"source": 3}}}, "training.data has no name"),
        ({"training": []}, "training is list, not an object"),
        ({"mean": [0.1, None, 0.2]}, r"mean\[1\] is None, not a finite number"),
        ({"std": {}}, "std is dict, not a list"),
        ({"arch": 333333}, "arch is 333333, not text"),
        ({"arch": "x" * 5000}, "a cell of 5,000 characters"),
    ],
)
def test_odd_metadata_are_named_before_a_network_is_made(
    saved: tuple[Path, DerivedNetwork], change: dict[str, object], reason: str
) -> None:
    path, _ = saved
    metadata = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**metadata, **change}))
    with pytest.raises(UserError, match=reason):
        load_model(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["stem.0.weight", "classifier.bias", "last_bn.running_var"])
def test_weights_of_a_training_that_diverged_are_refused(
    saved: tuple[Path, DerivedNetwork], name: str, value: float
) -> None:
    path, network = saved
    state = torch.load(path, weights_only=True)
    state[name].view(-1)[0] = value
    torch.save(state, path)
    with pytest.raises(UserError, match=rf"model\.pt holds numbers that are not finite \({name}\)"):
        load_model(path)
    metadata = json.loads(path.with_suffix(".json").read_text())
    network.load_state_dict(state)
    one = path.with_name("model.safetensors")
    one.write_bytes(safetensors_bytes(network, metadata))
    with pytest.raises(UserError, match=r"safetensors holds numbers that are not finite"):
        load_model(one)


def metadata_of(network: DerivedNetwork, folder: Path) -> dict[str, Any]:
    path = save_model(folder, network, {"dataset": "digits"})
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("code", CODES)
def test_safetensors_hold_weights_and_metadata(code: str, tmp_path: Path) -> None:
    network = trained(code)
    metadata = metadata_of(network, tmp_path / "run")
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes(network, metadata))
    x = torch.rand(3, 3, 8, 8)
    for named in (path, tmp_path):
        loaded, found = load_model(named)
        assert not loaded.training and found == metadata
        assert torch.equal(loaded(x), network(x))


def test_damage_of_safetensors_is_named(tmp_path: Path) -> None:
    network = trained("313021")
    metadata = metadata_of(network, tmp_path / "run")
    path = tmp_path / "model.safetensors"
    whole = safetensors_bytes(network, metadata)
    for damage in (whole[: len(whole) // 2], b"", b"<html> a page of an error"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"weights .*model\.safetensors cannot be read"):
            load_model(path)
    path.write_bytes(save({"stem.0.weight": torch.zeros(2)}))
    with pytest.raises(UserError, match="does not say which cell it is of"):
        load_model(path)
    path.write_bytes(safetensors_bytes(network, {**metadata, "arch": "333333"}))
    with pytest.raises(UserError, match="in its header do not fit together"):
        load_model(path)
    path.write_bytes(safetensors_bytes(network, {**metadata, "format": 9}))
    with pytest.raises(UserError, match="format 9; this version reads format 1"):
        load_model(path)


class Brief(AutoAttack):
    """The authors' AutoAttack, all four attacks of them with few steps, called as RobustBench does.

    RobustBench names the package's earlier form, whose arguments had these names.
    """

    def __init__(
        self, model: nn.Module, norm: str, eps: float, version: str, device: torch.device,
        log_path: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model, norm=norm, eps=eps, version=version, device=device)
        for attack in (self.apgd, self.apgd_targeted, self.fab):
            attack.n_iter, attack.n_restarts = 5, 1
        self.square.n_queries = 20

    def run_standard_evaluation(  # type: ignore[override]
        self, x: Tensor, y: Tensor, bs: int, state_path: Path | None = None
    ) -> Tensor:
        assert self.attacks_to_run == ["apgd-ce", "apgd-t", "fab-t", "square"]
        x_adv, _ = super().run_standard_evaluation(x, y, batch_size=bs, state_path=state_path)
        assert x_adv.min() >= 0 and x_adv.max() <= 1
        assert (x_adv - x).abs().max() <= self.epsilon + 1e-6
        return x_adv


def contract(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> tuple[float, float]:
    """What `robustbench.benchmark` asks of a model.

    It wants evaluation mode, moves the model, hands it images in [0, 1] in batches (the last one
    short), counts right answers by `max(1)`, and lets AutoAttack differentiate it.
    """
    assert not model.training
    device = torch.device("cpu")
    model = model.to(device)

    def accuracy(images: Tensor) -> float:
        with torch.no_grad():
            pairs = zip(images.split(7), y.split(7), strict=True)
            right = [model(a.to(device)).max(1)[1] == b.to(device) for a, b in pairs]
        return torch.cat(right).double().mean().item()

    attack = Brief(model, norm="Linf", eps=eps, version="standard", device=device, log_path=None)
    return accuracy(x), accuracy(attack.run_standard_evaluation(x, y, bs=7, state_path=None))


def package(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> tuple[float, float]:
    """`robustbench.benchmark` itself on these images in place of CIFAR-10's."""
    named = {"autoattack": {"AutoAttack": Brief}, "autoattack.state": {"EvaluationState": None}}
    modules = {}
    for name, content in named.items():
        modules[name] = types.ModuleType(name)
        vars(modules[name]).update(content)
    with mock.patch.dict(sys.modules, modules):
        evaluation = pytest.importorskip(
            "robustbench.eval", reason="RobustBench 1.1 is not installed; it needs timm 1.0.9"
        )
    with mock.patch.object(evaluation, "load_clean_dataset", lambda *given: (x, y)):
        found: tuple[float, float] = evaluation.benchmark(
            model, n_examples=len(x), dataset="cifar10", threat_model="Linf", eps=eps, batch_size=7
        )
    return found


@pytest.mark.parametrize("benchmark", [contract, package])
def test_robustbench_takes_the_model_as_it_is(
    benchmark: Callable[..., tuple[float, float]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, x = trained("313021", num_classes=10), torch.rand(24, 3, 16, 16)
    with torch.no_grad():
        network.classifier.bias -= network(x).mean(0)  # it answers with several classes
    model, _ = load_model(save_model(tmp_path, network, {}))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    y = model(x).argmax(1)
    assert len(y.unique()) > 3
    y[:6] = (y[:6] + 1) % 10
    clean, robust = benchmark(model, x, y, eps=8 / 255)
    assert clean == pytest.approx(18 / 24) and robust < clean
    assert not model.training and all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
