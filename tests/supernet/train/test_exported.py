"""A folder of exported files: what they hold, that they load in one call, and what is refused."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

from supernet.cells.argument import read_cell
from supernet.cells.order import published_order
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.train import exported, formats
from supernet.train.export import load_model, save_model
from supernet.train.export_config import ExportConfig
from supernet.train.exported import Exported, export
from supernet.train.inference import InferenceNetwork, count
from tests.supernet.train.cells import trained
from tests.supernet.train.test_card import ROWS, facts

CODE = "300133"  # with a dead edge


def save(folder: Path, code: str = CODE, **changes: Any) -> DerivedNetwork:
    network = trained(code)
    save_model(folder, network, {**facts("folder:/home/me/PICTURES"), "image_size": 8, **changes})
    return network


def evaluation(folder: Path, **changes: Any) -> None:
    metadata = json.loads((folder / "model.json").read_text())
    names = ("arch", "C", "N", "weights", "training")
    content = {name: metadata[name] for name in names} | {"results": ROWS} | changes
    (folder / "evaluation.json").write_text(json.dumps(content))


def hub(folder: Path, **fields: Any) -> ExportConfig:
    return ExportConfig(**{"model": str(folder), "formats": ("safetensors",), **fields})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[DerivedNetwork, Exported]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "standalone"
    network = save(folder)
    evaluation(folder)
    return network, export(ExportConfig(model=str(folder / "model.pt"), license="mit"))


@pytest.fixture
def there(done: tuple[DerivedNetwork, Exported]) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(done[1].folder)
    yield
    os.chdir(before)


def loaders(readme: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", readme, flags=re.M | re.S)


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_the_code_of_the_card_loads_every_file(done: tuple[DerivedNetwork, Exported]) -> None:
    network, _ = done
    x = torch.rand(3, 3, 8, 8)
    blocks = loaders(Path("README.md").read_text())
    assert len(blocks) == 3
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        if "session" in names:
            logits = torch.from_numpy(names["session"].run(None, {"images": x.numpy()})[0])
        else:
            logits = names["model"](x)
        torch.testing.assert_close(logits, network(x), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_what_the_folder_holds(done: tuple[DerivedNetwork, Exported]) -> None:
    network, result = done
    names = sorted(path.name for path in result.folder.iterdir())
    assert names == sorted(result.files) == sorted(
        ["README.md", "cell.png", "cell.svg", "genotype.json", "model.onnx", "model.pt2",
         "model.safetensors"]
    )  # fmt: skip
    for path in result.folder.iterdir():
        assert b"/home/me" not in path.read_bytes(), path
    cell, record = read_cell(str(result.folder / "genotype.json"))
    assert cell == network.genotype and record["dataset"] == "folder:PICTURES"
    assert published_order().genotype(record["index"]) == cell
    assert set(result.differences) == {"model.onnx", "model.pt2", "model.safetensors"}
    assert result.differences["model.safetensors"] == 0
    assert all(value < 1e-5 for value in result.differences.values())


@pytest.mark.slow
def test_the_card_says_what_is_saved_and_measured(done: tuple[DerivedNetwork, Exported]) -> None:
    network, result = done
    before, after = count(network, 8), count(InferenceNetwork(network), 8)
    words = (
        f"{after[0]:,} parameters instead of {before[0]:,}, and {after[1]:,} multiply-adds per"
        f" image instead of {before[1]:,}; 3 of 6 edges are left"
    )
    assert str(result.sizes) == words
    text = (result.folder / "README.md").read_text()
    assert f"The folded form gives the same logits with {words}." in text
    card = ModelCard(text)
    assert card.data.license == "mit" and card.data.library_name == "timm"
    assert [row.metric_value for row in card.data.eval_results] == [r["accuracy"] for r in ROWS]
    assert result.evaluated.endswith("evaluation.json")


def test_safetensors_alone_takes_no_exporter(tmp_path: Path, no_pictures: None) -> None:
    network = save(tmp_path)
    result = export(hub(tmp_path, out=str(tmp_path / "hub")))
    loaded, metadata = load_model(result.folder)
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(loaded(x), network(x)) and metadata["dataset"] == "folder:PICTURES"
    assert result.evaluated.startswith("none yet")
    assert "has not been evaluated" in (result.folder / "README.md").read_text()
    assert len(loaders((result.folder / "README.md").read_text())) == 1


@pytest.mark.parametrize("changes", [{"arch": "|none~0|"}, {"N": 2}, {"training": {"seed": 1}}])
def test_accuracies_of_another_network_are_left_out(
    tmp_path: Path, no_pictures: None, changes: dict[str, Any]
) -> None:
    save(tmp_path)
    evaluation(tmp_path, **changes)
    result = export(hub(tmp_path))
    assert "is of another network" in result.evaluated
    assert not ModelCard((result.folder / "README.md").read_text()).data.eval_results


def refuse(config: ExportConfig, message: str) -> None:
    folder = Path(str(config.out))
    before = sorted(folder.iterdir()) if folder.exists() else []
    with pytest.raises(UserError, match=message):
        export(config)
    assert (sorted(folder.iterdir()) if folder.exists() else []) == before


def test_what_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "net")
    out = tmp_path / "out"
    config = hub(tmp_path / "net", out=str(out))
    with monkeypatch.context() as patch:
        patch.setattr(exported, "TOLERANCE", -1.0)
        refuse(config, r"the logits of model\.safetensors differ by 0 from the network's; nothing")
    with monkeypatch.context() as patch:
        patch.setattr(formats, "ONNX_PACKAGES", ("not_there",))
        named = ExportConfig(model=str(tmp_path / "net"), formats=("onnx",), out=str(out))
        refuse(named, "pip install not_there")
    out.mkdir()
    (out / "model.onnx").touch()
    refuse(config, r"model\.onnx is of an earlier export and would stay; remove it, or name")
    (out / "model.onnx").rename(out / "config.json")
    refuse(config, "is a run directory; name another folder with --out")
    save(tmp_path / "net", image_size=None)
    refuse(hub(tmp_path / "net", out=str(tmp_path / "third")), "does not say the side of the imag")


def test_settings() -> None:
    for fields, message in (
        ({}, "no network was named; give --model runs/NAME/standalone"),
        ({"model": "m", "formats": ()}, "--formats is empty; name some of program, onnx, safeten"),
        ({"model": "m", "formats": ("tflite",)}, "--formats 'tflite' is unknown; choose one of"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            ExportConfig(**fields)  # type: ignore[arg-type]
