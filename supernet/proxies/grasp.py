"""GraSP: how much removing weights would change the flow of gradients."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.proxies.common import gradients, scratch, weights


def grasp(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """- sum over conv and linear weights of w * (H g), g = dL/dw and H its Jacobian.

    L is the batch's mean cross-entropy. H g is the gradient of |g|^2 / 2, so the score is minus
    the derivative of that along w. Training mode. Higher means that the gradient would grow more
    if all weights were shrunk; the score has either sign.
    Sentinel: 0 for cells without a path from input to output.
    Source:   Wang et al. 2020, arXiv:2002.07376, eq. 8, summed as in arXiv:2101.08134, eq. 1.
    Differs:  the temperature of the logits is 1, as in arXiv:2101.08134 (200 in the paper).
    """
    copied = scratch(network)
    loss = F.cross_entropy(copied(images), labels)
    ws = weights(copied)
    grads = gradients(loss, ws, create_graph=True)
    half_square = sum(((g * g).sum() / 2 for g in grads), loss.new_zeros(()))
    products = gradients(half_square, ws)
    return 0.0 - float(sum((w * p).sum().item() for w, p in zip(ws, products, strict=True)))
