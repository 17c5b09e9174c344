"""How exact and how repeatable torch's arithmetic on a GPU is, for the length of a block.

The switches are the process's own: each block puts back what it found. On a CPU they change
nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ops import tf32


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside, cuDNN takes algorithms that give the same bits every time, and chooses them by the
    shapes and not by a race. For what is trained. Also a decorator."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


@contextmanager
def exact() -> Iterator[None]:
    """The same, and no TF32, whose products have 10 bits: cuDNN's convolutions use it by default.

    For what is measured: accuracies, losses, and scores of cells. Also a decorator.
    """
    with tf32.switched_off(), repeatable():
        yield


def training_arithmetic(device: torch.device, dtype: str = "float32") -> str:
    """The arithmetic of a training's passes in words: as its convolutions take `dtype`, and as the
    process's switches have it."""
    if dtype != "float32":
        return f"float32, convolutions in {dtype}"
    if device.type != "cuda" or not _has_tf32(device):
        return "float32"
    names = ("convolutions", "matrix products")
    parts = [
        f"{name} in TF32" for name, allowed in zip(names, tf32.allowed(), strict=True) if allowed
    ]
    return ", ".join(["float32", *parts])


def _has_tf32(device: torch.device) -> bool:
    """GPUs since Ampere have TF32; before, the switches mean nothing."""
    return not torch.cuda.is_available() or torch.cuda.get_device_capability(device) >= (8, 0)
