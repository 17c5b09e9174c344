"""Robust variants: a score computed on attacked images."""

import functools

import torch
from torch import Tensor, nn

from supernet.attacks import ATTACKS
from supernet.proxies.common import Proxy, calibrate, scratch

EPS = 8 / 255


def attacked(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
    *,
    attack: str = "fgsm",
    eps: float = EPS,
) -> Tensor:
    """The images under attack on the network, with batch norm held at the clean images' statistics.

    Units: eps in the pixel range [0, 1]. At random weights the loss is close to linear over 8/255,
    so that FGSM, the default, is the attack.
    """
    copied = scratch(network)
    calibrate(copied, images)
    return ATTACKS[attack](copied, images, labels, eps=eps, generator=generator)


def robust(proxy: Proxy) -> Proxy:
    """The same score on `attacked` images (FGSM, 8/255); what higher means is as without attack."""

    @functools.wraps(proxy)
    def on_attacked(
        network: nn.Module,
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
    ) -> float:
        x_adv = attacked(network, images, labels, generator)
        return proxy(network, x_adv, labels, generator)

    on_attacked.__doc__ = f"On images attacked by FGSM at 8/255: {proxy.__doc__}"
    return on_attacked
