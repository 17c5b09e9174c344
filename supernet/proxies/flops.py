"""Multiply-adds for one image."""

from typing import Any

import torch
from torch import Tensor, nn

from supernet.proxies.common import layers, scratch


@torch.no_grad()
def flops(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """Multiply-adds of convolutions and linear layers (with their biases) for one image.

    Counted in one forward pass of the first image: output elements times the length of the sum
    that makes each of them. Batch norm, pooling and sums are not counted, as in the benchmark.
    Higher means dearer.
    Sentinel: none; every cell has its count.
    Source:   Abdelfattah et al. 2021, arXiv:2101.08134, section 2.
    """
    total = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        per_output = module.weight[0].numel() + (0 if module.bias is None else 1)
        total += output.numel() * per_output

    copied = scratch(network).eval()
    for layer in layers(copied):
        layer.register_forward_hook(count)
    copied(images[:1])
    return float(total)
