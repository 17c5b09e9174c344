"""A network in the formats of others: a `torch.export` program, and ONNX.

Both hold one graph for images of one side and any number of them.
"""

import importlib.util
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from supernet.errors import UserError

PROGRAM, ONNX = "model.pt2", "model.onnx"
INPUT, OUTPUT, BATCH = "images", "logits", "batch"
"""Names of the input and the output of the ONNX graph, and of their first axis."""

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def onnx_lacks() -> str:
    """What ONNX needs that is not installed, with the command that installs it; else empty."""
    absent = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    return f"ONNX needs {', '.join(absent)}; run `pip install {' '.join(absent)}`"


def require_onnx() -> None:
    """Raises: UserError with the command that installs what ONNX needs, where it is not there."""
    if onnx_lacks():
        raise UserError(f"{onnx_lacks()}, or leave ONNX out with --formats program,safetensors")


def to_program(network: nn.Module, side: int) -> "torch.export.ExportedProgram":
    """The graph of a network in evaluation mode: images (B, 3, side, side) -> logits, B >= 1."""
    images = torch.zeros(2, 3, side, side)
    sizes = ({0: torch.export.Dim(BATCH)},)
    program = torch.export.export(network, (images,), dynamic_shapes=sizes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def program_bytes(program: "torch.export.ExportedProgram") -> bytes:
    """model.pt2, for `torch.export.load`."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Weights that are views of one another are saved each by itself.
        warnings.filterwarnings("ignore", message="No complete tensor found", category=UserWarning)
        torch.export.save(program, stream)
    return stream.getvalue()


def onnx_bytes(program: "torch.export.ExportedProgram") -> bytes:
    """model.onnx: one file with its weights, in the operator set of this torch's exporter."""
    exported = torch.onnx.export(
        program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
    )
    assert exported is not None
    model = exported.model_proto
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.HasField("dim_param"):
                size.dim_param = BATCH
    for node in model.graph.node:
        del node.metadata_props[:]  # paths of this machine
    content: bytes = model.SerializeToString()
    return content


def run_program(content: bytes, x: Tensor) -> Tensor:
    """The logits of model.pt2."""
    logits: Tensor = torch.export.load(io.BytesIO(content)).module()(x)
    return logits


def run_onnx(content: bytes, x: Tensor) -> Tensor:
    """The logits of model.onnx, computed by onnxruntime."""
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])
