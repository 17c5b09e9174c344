"""SynFlow: the flow through a network of absolute weights, without data."""

import torch
from torch import Tensor, nn

from supernet.proxies.common import gradients, scratch, weights, without_batch_norm


def synflow(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """sum over conv and linear weights of |w| * dR/d|w|, R the sum of the logits of a white image.

    R is taken with every parameter replaced by its absolute value and without batch norm, in
    float64 (products over all layers grow beyond float32). Only the shape of `images` is used.
    Higher means more and wider paths from input to output.
    Sentinel: 0 for cells without a path from input to output.
    Source:   Tanaka et al. 2020, arXiv:2006.05467, eq. 1, summed as in arXiv:2101.08134.
    Differs:  the image is white (1) in [0, 1] and passes the network's own normalisation, instead
              of being 1 behind it; R is linear in it, so this is nearly a constant factor.
    """
    copied = scratch(network).double()
    without_batch_norm(copied)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.abs_()
    ws = weights(copied)
    flow = copied(torch.ones_like(images[:1], dtype=torch.float64)).sum()
    terms = zip(ws, gradients(flow, ws), strict=True)
    return float(sum((w * grad).sum().item() for w, grad in terms))
