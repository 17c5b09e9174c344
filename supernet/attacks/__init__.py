"""Attacks on images in [0, 1]: one pure function per file, all of one form.

    x_adv = ATTACKS[name](model, x, y, eps=8 / 255, step_size=None, steps=..., generator=None)

`model` maps images in [0, 1] to logits (normalisation is the network's first layer); `eps` and
`step_size` are L-inf radii in that same range. What an attack cannot use is refused with a
ValueError, and a refused call has changed nothing and drawn no random number. A training loop,
whose images and labels were checked when they were read, says `trusted=True`: values are not looked
at then, which on a GPU would make the host wait. AutoAttack has another form and is imported from
`supernet.attacks.autoattack` where it is needed.
"""

from collections.abc import Callable

from torch import Tensor

from supernet.attacks.fgsm import fgsm
from supernet.attacks.fgsm_rs import fgsm_rs
from supernet.attacks.frozen import frozen
from supernet.attacks.losses import LOSSES, margin_loss
from supernet.attacks.n_fgsm import n_fgsm
from supernet.attacks.pgd import pgd

ATTACKS: dict[str, Callable[..., Tensor]] = {
    "fgsm": fgsm,
    "fgsm_rs": fgsm_rs,
    "n_fgsm": n_fgsm,
    "pgd": pgd,
}

__all__ = ["ATTACKS", "LOSSES", "fgsm", "fgsm_rs", "frozen", "margin_loss", "n_fgsm", "pgd"]
