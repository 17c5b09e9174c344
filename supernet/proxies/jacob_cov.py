"""Jacobian covariance: do images have different input gradients?"""

import torch
from torch import Tensor, nn

from supernet.proxies.common import scratch

K = 1e-5
"""Added to each eigenvalue, as in the source."""


def jacob_cov(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """-sum_i log(v_i + k) + 1 / (v_i + k), v the eigenvalues of the rows' correlations.

    Row b is the gradient of image b's summed logits with respect to that image; training
    mode; k = 1e-5. Higher means that images have less correlated gradients: the maximum, -B, is
    at v = 1. Needs 2 images or more. Correlations are taken in float64.
    Sentinel: where rows are constant (no path from input to output) all correlations are set to 1,
              the lowest score that B images can have, about -B * 1e5.
    Source:   Mellor et al. 2020, arXiv:2006.04647v1, section 3.
    """
    copied = scratch(network)
    x = images.detach().clone().requires_grad_(True)
    (jacobian,) = torch.autograd.grad(copied(x).sum(), x)
    rows = jacobian.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1)
    if bool((norms == 0).any()):
        correlations = torch.ones(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    else:
        rows = rows / norms[:, None]
        correlations = rows @ rows.T
    v = torch.linalg.eigvalsh(correlations).clamp_(min=0)
    return -((v + K).log() + 1 / (v + K)).sum().item()
