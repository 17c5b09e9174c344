"""SNIP: how much the loss would change if single weights were removed."""

import torch
from torch import Tensor, nn

from supernet.proxies.common import loss_gradients, scratch, weights


def snip(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """sum over conv and linear weights of |w * dL/dw|, L the batch's mean cross-entropy.

    Training mode. Higher means that the weights matter more to the loss.
    Sentinel: 0 for cells without a path from input to output.
    Source:   Lee et al. 2019, arXiv:1810.02340, eq. 5, summed as in arXiv:2101.08134, eq. 1.
    """
    copied = scratch(network)
    grads = loss_gradients(copied, images, labels)
    terms = zip(weights(copied), grads, strict=True)
    return float(sum((w * grad).abs().sum().item() for w, grad in terms))
