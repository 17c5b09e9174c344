"""FGSM: one signed gradient step from the image itself."""

import torch
from torch import Tensor

from supernet.attacks.common import Model, check_single_step, prepare, signed_steps
from supernet.attacks.frozen import frozen


@torch.inference_mode(False)
def fgsm(
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
    """x_adv = clip(x + step_size * sign(grad_x loss(model(x), y))), to the eps ball and to [0, 1].

    trusted: the values of x and y are known to be good and are not looked at, which on a GPU
        makes the host wait.

    Shapes:   x (B, ...), y (B,) integers -> like x, same dtype and memory format, detached.
    Units:    eps and step_size in the pixel range [0, 1]; step_size None is eps.
    Gradient: none flows through the result.
    Raises:   ValueError for arguments out of range and for steps other than 1.
    Source:   Goodfellow et al. 2015, arXiv:1412.6572, section 4.
    Differs:  the network is in evaluation mode; `generator` and `drawn` are accepted and not used.
    """
    check_single_step("fgsm", steps)
    x, y, eps = prepare(
        model, x, y, eps=eps, step_size=step_size, steps=steps, loss=loss, trusted=trusted
    )
    step_size = eps if step_size is None else float(step_size)
    with frozen(model):
        return signed_steps(model, x.clone(), x, y, 1, eps=eps, step_size=step_size, loss=loss)
