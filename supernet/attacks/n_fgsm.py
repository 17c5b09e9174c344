"""N-FGSM: one signed gradient step on top of strong noise, without clipping the perturbation."""

import math

import torch
from torch import Tensor

from supernet.attacks.common import (
    Model,
    check_single_step,
    prepare,
    signed_steps,
    undrawn_if_refused,
    uniform_noise,
)
from supernet.attacks.frozen import frozen


@torch.inference_mode(False)
def n_fgsm(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float | None = None,
    steps: int = 1,
    generator: torch.Generator | None = None,
    loss: str = "ce",
    noise: float = 2.0,
    trusted: bool = False,
    drawn: Tensor | None = None,
) -> Tensor:
    """x_adv = clip to [0, 1] of x + eta + step_size * sign(grad at x + eta), eta ~ U(-k, k) * eps.

    The perturbation may be as large as (k + 1) * eps: for training, not for measuring accuracy
    at eps. k is `noise`. Costs a quarter of PGD-7 and does not overfit catastrophically.

    trusted: the values of x and y are known to be good and are not looked at, which on a GPU
        makes the host wait.
    drawn: U(0, 1) in x's shape, drawn before (`common.draw`); then no number is drawn here.

    Shapes:   x (B, ...), y (B,) integers -> like x, same dtype and memory format, detached.
    Units:    eps and step_size in the pixel range [0, 1]; step_size None is eps; noise in eps.
    Gradient: none flows through the result.
    Raises:   ValueError for arguments out of range and for steps other than 1.
    Source:   de Jorge et al. 2022, arXiv:2202.01181, algorithm 1.
    Differs:  the network is in evaluation mode; x + eta is clipped to [0, 1] before the gradient.
    """
    check_single_step("n_fgsm", steps)
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be a finite number >= 0 (in units of eps), got {noise}")
    x, y, eps = prepare(
        model, x, y, eps=eps, step_size=step_size, steps=steps, loss=loss, trusted=trusted
    )
    step_size = eps if step_size is None else float(step_size)
    with frozen(model), undrawn_if_refused(generator, x, drawn):
        start = (x + uniform_noise(x, noise * eps, generator, drawn)).clamp_(0, 1)
        return signed_steps(model, start, x, y, 1, eps=None, step_size=step_size, loss=loss)
