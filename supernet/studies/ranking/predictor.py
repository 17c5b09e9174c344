"""The trained supernet as a predictor: any cell scored with inherited weights."""

from torch import Tensor

from supernet.attacks.accuracy import Attack, Evaluation, evaluate
from supernet.cells.genotype import Genotype
from supernet.nets.supernet import Supernet


class Predictor:
    """Scores cells on fixed images, with batch statistics recalibrated for each cell.

    A cell's own activations have other statistics than the mixture's, so the running ones do not
    fit it: one clean calibration batch in training mode gives its own, which are frozen; the folded
    network with those is evaluated clean and under `attack(model, x, y, generator=...)`. Every cell
    meets the same random start. attack None scores on clean images and repeats that as robust.
    Cells are better ordered by the losses than by the accuracies, which count a few hundred images.

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

    def score(self, genotype: Genotype) -> Evaluation:
        """One cell; the supernet is not changed."""
        model = self.supernet.fold_cell(genotype.ops, x=self.calibration)
        return evaluate(model, self.x, self.y, self.attack, self.seed)
