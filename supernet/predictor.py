"""The trained supernet as a predictor: any cell scored with inherited weights."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from supernet.genotype import Genotype
from supernet.networks import Supernet

Attack = Callable[..., Tensor]

CHUNK = 256
"""Images per forward pass of an evaluation."""


@dataclass(frozen=True)
class CellScore:
    """Accuracies in [0, 1] of one cell with the supernet's weights."""

    genotype: Genotype
    clean: float
    robust: float

    def value(self, robust_weight: float) -> float:
        """(1 - robust_weight) * clean + robust_weight * robust."""
        return (1 - robust_weight) * self.clean + robust_weight * self.robust


class Predictor:
    """Scores cells on fixed images, with batch statistics recalibrated for each cell.

    A cell's own activations have other statistics than the mixture's, so the running ones do not
    fit it: one clean calibration batch in training mode gives its own, which are frozen; the folded
    network with those is evaluated clean and under `attack(model, x, y, generator=...)`. Every cell
    meets the same random start. attack None scores clean accuracy alone and repeats it as robust.

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
        clean, robust = evaluate(model, self.x, self.y, self.attack, self.seed)
        return CellScore(genotype, clean, robust)


def evaluate(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, attack: Attack | None, seed: int
) -> tuple[float, float]:
    """(clean, robust) accuracy in [0, 1]; robust repeats clean where attack is None."""
    generator = torch.Generator(x.device).manual_seed(seed)
    right = torch.zeros(2, dtype=torch.int64, device=x.device)
    for chunk in torch.arange(len(x), device=x.device).split(CHUNK):
        images, labels = x[chunk], y[chunk]
        images = images.contiguous(memory_format=torch.channels_last)
        attacked = attack(model, images, labels, generator=generator) if attack else images
        with torch.no_grad():
            for row, batch in enumerate((images, attacked) if attack else (images,)):
                right[row] += (model(batch).argmax(1) == labels).sum()
    clean, robust = (right.double() / len(x)).tolist()
    return clean, robust if attack else clean
