"""GradNorm: the size of the first gradient."""

import torch
from torch import Tensor, nn

from supernet.proxies.common import loss_gradients, scratch


def gradnorm(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """sum over layers m of |dL/dW_m|_2, W_m the weights of convolutions and linear layers.

    L is the batch's mean cross-entropy. Training mode: batch norm normalises by the batch, and the
    gradient flows through that.
    Higher means that one step would change the function more.
    Sentinel: 0 for cells without a path from input to output.
    Source:   Abdelfattah et al. 2021, arXiv:2101.08134, section 3.1.
    """
    grads = loss_gradients(scratch(network), images, labels)
    return float(sum(grad.norm().item() for grad in grads))
