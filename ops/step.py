"""One step of an L-infinity attack: sign, step, projection."""

from torch import Tensor

from cuda_ext.mixed_op import attack_step


def linf_step(
    x_adv: Tensor,
    grad: Tensor,
    x: Tensor,
    *,
    eps: float | None,
    step_size: float,
    impl: str = "auto",
) -> Tensor:
    """clip(x_adv + step_size * sign(grad), x - eps, x + eps), then clip to [0, 1], in place.

    Shapes:   all (B, C, H, W), equal. Returns x_adv, changed in place.
    Units:    pixels in [0, 1]; eps None leaves out the projection onto the ball (N-FGSM).
    Gradient: none; this is an update, not a layer.
    """
    return attack_step(x_adv, grad, x, eps=eps, step_size=step_size, impl=impl)
