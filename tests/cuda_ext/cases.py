"""Inputs for the kernel tests: awkward shapes, layouts and slices, the two ways to run a kernel."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from cuda_ext import _native

needs_native = pytest.mark.skipif(
    not _native.available(), reason=f"nothing is built: {_native.why_unavailable()}"
)

# (B, C, H, W): single pixels, primes, one channel, one image, more rows than one unit of work.
SHAPES = [
    (2, 16, 8, 8),
    (1, 3, 5, 7),
    (3, 1, 4, 3),
    (2, 48, 33, 17),
    (2, 16, 1, 1),
    (1, 5, 70, 1),
    (1, 40, 1, 9),
]
LAYOUTS = ["channels_last", "nchw", "channel_slice", "crop"]
# Small cases that launch every kernel, in wide and in single accesses (test_emulated.py counts).
SANITIZED = [
    (torch.float32, (2, 16, 17, 9), "channels_last", 3),
    (torch.float32, (2, 5, 17, 9), "channel_slice", 1),
    (torch.bfloat16, (2, 16, 9, 6), "channels_last", 2),
    (torch.bfloat16, (1, 5, 9, 7), "nchw", 3),
    (torch.bfloat16, (2, 16, 9, 6), "channels_last", 1),
    (torch.bfloat16, (1, 16, 5, 4), "channels_last", 3),
    (torch.bfloat16, (1, 3, 5, 4), "channels_last", 1),
    (torch.bfloat16, (1, 3, 5, 4), "crop", 2),
    (torch.float32, (2, 8, 9, 6), "crop", 2),
    (torch.float32, (1, 7, 9, 6), "channels_last", 2),
    (torch.float32, (1, 6, 5, 3), "nchw", 3),
    (torch.float32, (1, 300, 3, 3), "channels_last", 1),
]


def tensor(shape: tuple[int, ...], layout: str = "channels_last", **options: Any) -> Tensor:
    """A random tensor. `channel_slice` is a view of a wider channels-last tensor, `crop` a view of
    a larger one in space."""
    B, C, H, W = shape
    if layout == "channel_slice":
        wide = torch.randn(B, 2 * C + 3, H, W, **options)
        return wide.contiguous(memory_format=torch.channels_last)[:, C : 2 * C]
    if layout == "crop":
        large = torch.randn(B, C, H + 2, W + 3, **options)
        return large.contiguous(memory_format=torch.channels_last)[:, :, 1:-1, 2:-1]
    t = torch.randn(shape, **options)
    return t.contiguous(memory_format=torch.channels_last) if layout == "channels_last" else t


def node_inputs(
    shape: tuple[int, ...], num_sources: int, layout: str = "channels_last", **options: Any
) -> SimpleNamespace:
    """v, y1, y3, w (S, 5), w2 (S, 2), bias (C,) and an upstream gradient g."""

    def tensors() -> list[Tensor]:
        return [tensor(shape, layout, **options) for _ in range(num_sources)]

    wide = {**options, "dtype": options.get("dtype", torch.float32)}
    if wide["dtype"] in (torch.float16, torch.bfloat16):
        wide["dtype"] = torch.float32
    return SimpleNamespace(
        v=tensors(),
        y1=tensors(),
        y3=tensors(),
        w=torch.rand(num_sources, 5, **wide),
        w2=torch.rand(num_sources, 2, **wide),
        bias=torch.randn(shape[1], **wide),
        g=tensor(shape, "nchw" if layout == "nchw" else "channels_last", **options),
    )


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest error over the largest expected value; an all-zero expectation is an error."""
    actual, expected = actual.double(), expected.double()
    assert actual.shape == expected.shape
    scale = expected.abs().max().item()
    assert scale > 0, "the expected values are all zero and agree with anything"
    return (actual - expected).abs().max().item() / scale


def emulated_ops() -> Any:
    """The CUDA kernels run on the host (csrc/emulated), or skip."""
    try:
        importlib.import_module("cuda_ext._emulated")
    except ImportError as error:
        pytest.skip(f"the emulation of the CUDA kernels is not built: {error}")
    return torch.ops.robust_supernet_emulated
