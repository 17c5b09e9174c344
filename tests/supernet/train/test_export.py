import json
from pathlib import Path

import pytest
import torch

from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.train.export import load_model, save_model


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
        ({"mean": [0.1]}, "do not fit together"),
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
