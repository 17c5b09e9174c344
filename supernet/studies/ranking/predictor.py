"""The trained supernet as a predictor: any cell scored with inherited weights."""

from dataclasses import dataclass

from torch import Tensor

from supernet.attacks.accuracy import Attack, Evaluation, evaluate
from supernet.cells.genotype import Genotype
from supernet.nets.supernet import Supernet


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
        model = self.supernet.fold_cell(genotype.ops, x=self.calibration)
        found = evaluate(model, self.x, self.y, self.attack, self.seed)
        return CellScore(genotype, **found._asdict())
