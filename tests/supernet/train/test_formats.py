"""A program and an ONNX file give the network's logits, for any number of images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from supernet.errors import UserError
from supernet.train import formats
from supernet.train.inference import InferenceNetwork
from tests.supernet.train.cells import CODES, trained

SIDE = 8


class SideBySide(nn.Module):
    """Many networks as one, because exporting each by itself takes five times as long."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([network(x) for network in self.networks], dim=1)


@pytest.fixture(scope="module")
def twenty() -> tuple[nn.Module, "torch.export.ExportedProgram"]:
    torch.manual_seed(0)
    networks = [trained(code) for code in CODES]
    small = SideBySide([InferenceNetwork(network) for network in networks]).eval()
    return SideBySide(list(networks)).eval(), formats.to_program(small, SIDE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["program", "onnx"])
def test_twenty_cells_come_back(
    twenty: tuple[nn.Module, "torch.export.ExportedProgram"], name: str
) -> None:
    network, program = twenty
    write, run = {
        "program": (formats.program_bytes, formats.run_program),
        "onnx": (formats.onnx_bytes, formats.run_onnx),
    }[name]
    content = write(program)
    for images in (1, 2, 7):
        x = torch.rand(images, 3, SIDE, SIDE)
        expected = network(x).detach()
        assert expected.shape == (images, 20, 5) and (expected.std(dim=2) > 0.01).all()
        torch.testing.assert_close(run(content, x), expected, rtol=0, atol=1e-5)
    assert str(Path(formats.__file__).parent).encode() not in content


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
(images,), (logits,) = session.get_inputs(), session.get_outputs()
assert (images.name, images.shape) == ("images", ["batch", 3, 8, 8]), (images.name, images.shape)
assert (logits.name, logits.shape) == ("logits", ["batch", 5]), (logits.name, logits.shape)
x = numpy.load("images.npy")
numpy.save("found.npy", session.run(None, {"images": x})[0])
assert not [name for name in sys.modules if name.startswith("torch.")]
"""


@pytest.mark.slow
def test_onnx_needs_no_torch(tmp_path: Path) -> None:
    network = trained("313021")
    content = formats.onnx_bytes(formats.to_program(InferenceNetwork(network), SIDE))
    (tmp_path / "model.onnx").write_bytes(content)
    x = torch.rand(3, 3, SIDE, SIDE)
    np.save(tmp_path / "images.npy", x.numpy())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = torch.from_numpy(np.load(tmp_path / "found.npy"))
    torch.testing.assert_close(found, network(x).detach(), rtol=0, atol=1e-5)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "ONNX_PACKAGES", ("json", "not_there_a", "not_there_b"))
    with pytest.raises(UserError) as error:
        formats.require_onnx()
    assert str(error.value) == (
        "ONNX needs not_there_a, not_there_b; run `pip install not_there_a not_there_b`, or leave"
        " ONNX out with --formats program,safetensors"
    )
