"""Shared by the attacks: the input gradient, random starts, and the check of arguments."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from supernet.attacks.losses import LOSSES

Model = Callable[[Tensor], Tensor]


def input_gradient(model: Model, x: Tensor, y: Tensor, loss: str) -> Tensor:
    """grad_x sum_b loss(model(x_b), y_b), in x's shape, dtype and memory format.

    Works under `torch.no_grad`. Nothing but the path to x is differentiated, and no `.grad` is
    written anywhere.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        (grad,) = torch.autograd.grad(LOSSES[loss](model(x), y), x)
    return grad


def uniform_noise(x: Tensor, radius: float, generator: torch.Generator | None) -> Tensor:
    """U(-radius, radius) like x; the same numbers for every memory format of x.

    Drawn on the generator's device (on x's where there is none) and moved: the same seed gives
    the same noise on that device, whatever else runs.
    """
    device = x.device if generator is None else generator.device
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    noise = torch.rand(x.shape, generator=generator, device=device, dtype=dtype)
    noise = noise.mul_(2 * radius).sub_(radius)
    return torch.empty_like(x, requires_grad=False).copy_(noise)


def check(x: Tensor, y: Tensor, *, eps: float, step_size: float, steps: int, loss: str) -> None:
    """Raise ValueError for arguments that no attack can use.

    That x lies in [0, 1] is looked at on the CPU only: on a GPU it would make the host wait.
    """
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}; attacks take floating point images in [0, 1]")
    if y.shape != x.shape[:1] or y.is_floating_point():
        raise ValueError(
            f"y must be integer labels of shape ({x.shape[0]},), got {y.dtype} {tuple(y.shape)}"
        )
    if not (math.isfinite(eps) and eps >= 0):
        raise ValueError(f"eps must be a finite number >= 0 (such as 8/255), got {eps}")
    if not (math.isfinite(step_size) and step_size >= 0):
        raise ValueError(f"step_size must be a finite number >= 0, got {step_size}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; choose from {', '.join(LOSSES)}")
    if x.device.type == "cpu" and x.numel():
        low, high = (value.item() for value in torch.aminmax(x.detach()))
        if low < 0 or high > 1:
            raise ValueError(
                f"x has values in [{low:.3g}, {high:.3g}]; attacks take images in [0, 1], "
                "the network normalises them itself"
            )


def check_single_step(name: str, steps: int) -> None:
    """Raise ValueError where a one-step attack is asked for several steps."""
    if steps != 1:
        raise ValueError(f"{name} takes 1 step, got steps={steps}; use pgd for several")
