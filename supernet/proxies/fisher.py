"""Fisher: how much the loss would change if single channels were removed."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.proxies.common import gradients, layers, scratch


def fisher(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """sum over layers and channels c of mean_b (sum_pixels z_bc * dL/dz_bc)^2 / 2.

    z are the outputs of convolutions and linear layers, L is the batch's mean cross-entropy.
    Training mode. Higher means that the channels matter more to the loss.
    Sentinel: none; without a path from input to output only the logits themselves count.
    Source:   Theis et al. 2018, arXiv:1801.05787, eq. 5; over networks Turner et al. 2020,
              arXiv:1906.04113, summed as in arXiv:2101.08134.
    """
    copied, outputs = scratch(network), list[Tensor]()

    def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs.append(output)

    for layer in layers(copied):
        layer.register_forward_hook(record)
    loss = F.cross_entropy(copied(images), labels)
    total = 0.0
    for z, grad in zip(outputs, gradients(loss, outputs), strict=True):
        per_channel = (z.detach() * grad).flatten(2).sum(2) if z.dim() > 2 else z.detach() * grad
        total += per_channel.square().mean(0).sum().item() / 2
    return total
