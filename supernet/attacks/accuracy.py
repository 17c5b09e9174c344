"""Accuracy and loss of a model on images as they are and under one attack."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from supernet.attacks.common import logits_of
from supernet.precision import exact

Attack = Callable[..., Tensor]
"""attack(model, x, y, generator=...) -> x_adv."""

CHUNK = 256
"""Images per forward pass of an evaluation."""
WORST_LOSS = 1e3
"""Nats that a mean loss is cut off at; not a number counts as this. Guessing among 120 has 4.8."""


class Evaluation(NamedTuple):
    """Accuracies in [0, 1] and mean cross-entropies in nats, on clean and on attacked images."""

    clean: float
    robust: float
    clean_loss: float
    robust_loss: float


@torch.no_grad()
def right_answers(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, batch_size: int
) -> Tensor:
    """(B,) bool: whether the network gives each image its own class."""
    parts = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return torch.cat([logits_of(model, some).argmax(1) == labels for some, labels in parts])


@exact()
def surviving_share(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, attack: Attack, seed: int
) -> float:
    """The share of images that are right both as they are and attacked.

    Images that are wrong already get no attack, which saves most of the work where accuracy is low,
    and are not counted where an attack puts them right: no share exceeds the clean accuracy.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    index, left = right_answers(model, x, y, CHUNK).nonzero().flatten(), 0
    for chunk in index.split(CHUNK) if len(index) else ():
        images, labels = x[chunk].contiguous(memory_format=torch.channels_last), y[chunk]
        attacked = attack(model, images, labels, generator=generator)
        left += int(right_answers(model, attacked, labels, CHUNK).sum())
    return left / len(x)


@exact()
def evaluate(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, attack: Attack | None, seed: int
) -> Evaluation:
    """Means over all images; robust repeats clean where attack is None.

    Differs: the attack gets every image and sees the network that is measured. For the test
             accuracy of a trained network, images that are wrong already need no attack
             (`surviving_share`), and the attack may see a faster form of it:
             `supernet.train.evaluate`.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    right = torch.zeros(2, dtype=torch.int64, device=x.device)
    loss = torch.zeros(2, dtype=torch.float64, device=x.device)
    for chunk in torch.arange(len(x), device=x.device).split(CHUNK):
        images, labels = x[chunk], y[chunk]
        images = images.contiguous(memory_format=torch.channels_last)
        attacked = attack(model, images, labels, generator=generator) if attack else images
        with torch.no_grad():
            for row, batch in enumerate((images, attacked) if attack else (images,)):
                logits = logits_of(model, batch)
                right[row] += (logits.argmax(1) == labels).sum()
                loss[row] += F.cross_entropy(logits.float(), labels, reduction="sum").double()
    loss = (loss / len(x)).nan_to_num(WORST_LOSS, WORST_LOSS).clamp(max=WORST_LOSS)
    (clean, robust), (clean_loss, robust_loss) = (right.double() / len(x)).tolist(), loss.tolist()
    if attack is None:
        robust, robust_loss = clean, clean_loss
    return Evaluation(clean, robust, clean_loss, robust_loss)
