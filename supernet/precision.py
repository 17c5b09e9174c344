"""How exact and how repeatable torch's arithmetic on a GPU is, for the length of a block.

The switches are the process's own: each block puts back what it found. On a CPU they change
nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with repeatable():
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def training_arithmetic(device: torch.device, dtype: str = "float32") -> str:
    """The arithmetic of a training's passes in words: as its convolutions take `dtype`, and as the
    process's switches have it."""
    if dtype != "float32":
        return f"float32, convolutions in {dtype}"
    if device.type != "cuda":
        return "float32"
    tf32 = {
        "convolutions": torch.backends.cudnn.allow_tf32,
        "matrix products": torch.backends.cuda.matmul.allow_tf32,
    }
    parts = [f"{name} in TF32" for name, allowed in tf32.items() if allowed]
    return ", ".join(["float32", *parts])
