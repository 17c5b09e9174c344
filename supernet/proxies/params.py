"""The number of parameters: the score to beat."""

import torch
from torch import Tensor, nn


def params(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """The number of trainable numbers in the network, on dead edges too, as the benchmark counts.

    Higher means larger. Spearman 0.82 with the benchmark's robust accuracy (CIFAR-10, PGD 8/255)
    without looking at an image.
    Sentinel: none; every cell has its count.
    Source:   Abdelfattah et al. 2021, arXiv:2101.08134, section 2.
    """
    return float(sum(parameter.numel() for parameter in network.parameters()))
