"""NASWOT: do images switch on different ReLUs?"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from supernet.proxies.common import scratch

FLOOR = 1e-6
"""Eigenvalues of the integer kernel below this are rounding errors of zero."""


@torch.no_grad()
def naswot(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """log |det K|, K_ij = number of ReLU units that images i and j switch alike (both on or off).

    Every ReLU that the forward pass runs counts, wherever it is written; training mode. K is
    positive semi-definite; its eigenvalues are floored at 1e-6 before the logarithm.
    Higher means that the network tells the images apart more finely.
    Sentinel: cells without a path from input to output switch alike for all images: K has rank 1
              and the score is log of its trace plus (B - 1) log 1e-6, the lowest there is.
    Source:   Mellor et al. 2021, arXiv:2006.04647v3, eq. 2.
    """
    copied = scratch(network)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    with _OnReLU(kernel):
        copied(images)
    return torch.linalg.eigvalsh(kernel).clamp_(min=FLOOR).log().sum().item()


class _OnReLU(TorchDispatchMode):
    """Adds to `kernel`, for every ReLU inside the block, the number of units alike."""

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.kernel = kernel

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default):
            # Counts stay below 2^24 per ReLU, so that float32 holds them exactly.
            on = (args[0] > 0).flatten(1).float()
            self.kernel += on @ on.T + (1 - on) @ (1 - on).T
        return func(*args, **(kwargs or {}))
