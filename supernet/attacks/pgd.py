"""PGD: signed gradient steps, each projected onto the eps ball and onto [0, 1]."""

import torch
from torch import Tensor

from supernet.attacks.common import (
    Model,
    prepare,
    signed_steps,
    undrawn_if_refused,
    uniform_noise,
)
from supernet.attacks.frozen import frozen


@torch.inference_mode(False)
def pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float | None = None,
    steps: int = 7,
    generator: torch.Generator | None = None,
    loss: str = "ce",
    random_start: bool = True,
    trusted: bool = False,
    drawn: Tensor | None = None,
) -> Tensor:
    """x_0 = x + U(-eps, eps); x_t+1 = clip(x_t + step_size * sign(grad at x_t)); returns x_steps.

    Clipped to the eps ball around x and to [0, 1] after every step, and at the start to [0, 1].
    The last iterate is returned. The loop never makes the host wait for the device.

    trusted: the values of x and y are known to be good and are not looked at, which on a GPU
        makes the host wait.
    drawn: U(0, 1) in x's shape, drawn before (`common.draw`); then no number is drawn here.

    Shapes:   x (B, ...), y (B,) integers -> like x, same dtype and memory format, detached.
    Units:    eps and step_size in the pixel range [0, 1]; step_size None is 2.5 * eps / steps.
    Gradient: none flows through the result.
    Raises:   ValueError for arguments out of range.
    Source:   Madry et al. 2018, arXiv:1706.06083, section 2.1. NAS-RobBench-201 trains with 7
              steps of 2/255 at eps 8/255 and evaluates with 20 steps of 2.5 * eps / 20.
    Differs:  the network is in evaluation mode.
    """
    x, y, eps = prepare(
        model, x, y, eps=eps, step_size=step_size, steps=steps, loss=loss, trusted=trusted
    )
    step_size = 2.5 * eps / steps if step_size is None else float(step_size)
    with frozen(model), undrawn_if_refused(generator, x, drawn):
        x_adv = x.clone()
        if random_start:
            x_adv = (x + uniform_noise(x, eps, generator, drawn)).clamp_(0, 1)
        return signed_steps(model, x_adv, x, y, steps, eps=eps, step_size=step_size, loss=loss)
