"""The trained supernet as a predictor: any cell scored with inherited weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from supernet.genotype import Genotype
from supernet.networks import Supernet

Attack = Callable[..., Tensor]

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


@dataclass(frozen=True)
class CellScore:
    """Accuracies and mean cross-entropies (nats) of one cell with the supernet's weights.

    Cells are ordered by the losses: accuracies count images, and on a few hundred of them order
    cells less well.
    """

    genotype: Genotype
    clean: float
    robust: float
    clean_loss: float
    robust_loss: float

    def value(self, robust_weight: float) -> float:
        """-((1 - robust_weight) * clean_loss + robust_weight * robust_loss): more is better."""
        return -((1 - robust_weight) * self.clean_loss + robust_weight * self.robust_loss)


def scores_of(score: CellScore) -> dict[str, float]:
    """The numbers of a score by name, as files hold them."""
    return {name: getattr(score, name) for name in Evaluation._fields}


class Predictor:
    """Scores cells on fixed images, with batch statistics recalibrated for each cell.

    A cell's own activations have other statistics than the mixture's, so the running ones do not
    fit it: one clean calibration batch in training mode gives its own, which are frozen; the folded
    network with those is evaluated clean and under `attack(model, x, y, generator=...)`. Every cell
    meets the same random start. attack None scores on clean images and repeats that as robust.

    Shapes: x and calibration (n, 3, H, W) float in [0, 1], y (n,).
    """

    def __init__(
        self,
        supernet: Supernet,
        x: Tensor,
        y: Tensor,
        calibration: Tensor,
        attack: Attack | None,
        seed: int = 0,
    ) -> None:
        self.supernet, self.x, self.y = supernet, x, y
        self.calibration, self.attack, self.seed = calibration, attack, seed

    def score(self, genotype: Genotype) -> CellScore:
        """One cell; the supernet is not changed."""
        model = self.supernet.fold(genotype.ops, statistics="batch", x=self.calibration)
        found = evaluate(model, self.x, self.y, self.attack, self.seed)
        return CellScore(genotype, **found._asdict())


def evaluate(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, attack: Attack | None, seed: int
) -> Evaluation:
    """Means over all images; robust repeats clean where attack is None."""
    generator = torch.Generator(x.device).manual_seed(seed)
    right = torch.zeros(2, dtype=torch.int64, device=x.device)
    loss = torch.zeros(2, dtype=torch.float64, device=x.device)
    for chunk in torch.arange(len(x), device=x.device).split(CHUNK):
        images, labels = x[chunk], y[chunk]
        images = images.contiguous(memory_format=torch.channels_last)
        attacked = attack(model, images, labels, generator=generator) if attack else images
        with torch.no_grad():
            for row, batch in enumerate((images, attacked) if attack else (images,)):
                logits = model(batch)
                right[row] += (logits.argmax(1) == labels).sum()
                loss[row] += F.cross_entropy(logits.float(), labels, reduction="sum").double()
    loss = (loss / len(x)).nan_to_num(WORST_LOSS, WORST_LOSS).clamp(max=WORST_LOSS)
    (clean, robust), (clean_loss, robust_loss) = (right.double() / len(x)).tolist(), loss.tolist()
    if attack is None:
        robust, robust_loss = clean, clean_loss
    return Evaluation(clean, robust, clean_loss, robust_loss)
