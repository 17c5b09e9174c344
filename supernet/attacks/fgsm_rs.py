"""FGSM-RS: one signed gradient step from a random start, clipped to the ball."""

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
def fgsm_rs(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float | None = None,
    steps: int = 1,
    generator: torch.Generator | None = None,
    loss: str = "ce",
    trusted: bool = False,
    drawn: Tensor | None = None,
) -> Tensor:
    """x_adv = clip(x + eta + step_size * sign(grad at x + eta)), eta ~ U(-eps, eps).

    Both the start and the result are clipped to the eps ball and to [0, 1]. Training with it can
    overfit catastrophically (robust to FGSM, not to PGD): watch it with a PGD probe.

    trusted: the values of x and y are known to be good and are not looked at, which on a GPU
        makes the host wait.
    drawn: U(0, 1) in x's shape, drawn before (`common.draw`); then no number is drawn here.

    Shapes:   x (B, ...), y (B,) integers -> like x, same dtype and memory format, detached.
    Units:    eps and step_size in the pixel range [0, 1]; step_size None is 1.25 * eps.
    Gradient: none flows through the result.
    Raises:   ValueError for arguments out of range and for steps other than 1.
    Source:   Wong et al. 2020, arXiv:2001.03994, algorithm 3.
    Differs:  the network is in evaluation mode.
    """
    check_single_step("fgsm_rs", steps)
    x, y, eps = prepare(
        model, x, y, eps=eps, step_size=step_size, steps=steps, loss=loss, trusted=trusted
    )
    step_size = 1.25 * eps if step_size is None else float(step_size)
    with frozen(model), undrawn_if_refused(generator, x, drawn):
        start = (x + uniform_noise(x, eps, generator, drawn)).clamp_(0, 1)
        return signed_steps(model, start, x, y, 1, eps=eps, step_size=step_size, loss=loss)
