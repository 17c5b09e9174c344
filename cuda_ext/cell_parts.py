"""The graph of a cell, and what the operators of a whole cell share: stacks, slices, convolutions.

B images, C channels, H x W pixels, channels-last. Convolution kernels and outputs come stacked by
source node: those of the n edges that leave node j side by side, n = 3, 2, 1.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

INCOMING: tuple[tuple[int, ...], ...] = ((), (0,), (1, 2), (3, 4, 5))
"""Edges into each node."""
OUTGOING = ((0, 1, 3), (2, 4), (5,))
"""Edges out of each node, in the order of its stack."""
SOURCE: tuple[int, ...] = (0, 0, 1, 0, 1, 2)
NUM_EDGES = len(SOURCE)
TARGET = (1, 2, 2, 3, 3, 3)
PLACE = (0, 1, 0, 2, 1, 0)
"""Where in its source's stack an edge lies."""


def channels_last(t: Tensor) -> Tensor:
    """The tensor, channels-last; a copy only where it is not."""
    return t.contiguous(memory_format=torch.channels_last)


def empty(like: Tensor, channels: int) -> Tensor:
    """Memory for so many channels of the images of `like`, channels-last."""
    B, _, H, W = like.shape
    shape = (B, channels, H, W)
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def convolve(r: Tensor, kernel: Tensor) -> Tensor:
    """The "same" convolution, channels-last."""
    # Autocast must not change the dtype behind the operator's back.
    with torch.autocast(r.device.type, enabled=False):
        return channels_last(F.conv2d(r, kernel, padding=kernel.shape[-1] // 2))


def convolve_backward(
    g: Tensor, r: Tensor, kernel: Tensor, need_input: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    """(gradient to r, gradient to the kernel) of `convolve`, of these what is needed."""
    pad = kernel.shape[-1] // 2
    return torch.ops.aten.convolution_backward(
        g, r, kernel, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1,
        [need_input, need_kernel, False],
    )[:2]  # fmt: skip


def slices(stacks: Sequence[Tensor], edges: Sequence[int], C: int) -> list[Tensor]:
    """The parts of source-node stacks that belong to these edges."""
    return [stacks[SOURCE[e]].narrow(1, PLACE[e] * C, C) for e in edges]


def by_source(w: Tensor) -> Sequence[Tensor]:
    """(w_skip, w_pool) of the edges out of each node. An index list would make the host wait."""
    rows = torch.stack([w[e] for edges in OUTGOING for e in edges])
    return rows.split([len(edges) for edges in OUTGOING])


def interleave(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
    """The first of both, the second of both, and so on."""
    return [t for pair in zip(first, second, strict=True) for t in pair]
