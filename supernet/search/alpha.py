"""Moves alpha: a step on images of the alpha half, then beta-decay."""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.candidates import kept_statistics
from supernet.attacks.accuracy import Attack
from supernet.attacks.frozen import constant_weights
from supernet.distributed import ALONE, Ranks
from supernet.nets.supernet import Supernet
from supernet.search.config import SearchConfig
from supernet.search.halves import Batch
from supernet.search.objectives import Objective, conflict_angle
from supernet.search.strategies import Losses, Strategy, WeightStep
from supernet.search.strategies.regularisers import decay_step

# Published settings of DARTS.
BETAS, WEIGHT_DECAY = (0.5, 0.999), 1e-3


class Attacked(NamedTuple):
    """The attacked images of one alpha step; None where nothing asks for them."""

    alpha: Tensor | None
    weights: Tensor | None


class Alpha:
    """Adam on alpha (betas 0.5 and 0.999, weight decay 1e-3), then decoupled beta-decay."""

    def __init__(
        self, net: Supernet, strategy: Strategy, objective: Objective, config: SearchConfig,
        ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.net, self.strategy, self.objective, self.config = net, strategy, objective, config
        self.ranks = ranks
        self.optimiser = torch.optim.Adam(
            strategy.parameters(), lr=config.alpha_lr, betas=BETAS, weight_decay=WEIGHT_DECAY
        )

    def step(
        self,
        alpha_batch: Batch,
        weight_batch: Batch,
        attack: Attack | None,
        weight_step: WeightStep,
        *,
        progress: float,
    ) -> dict[str, Tensor]:
        """Attack, differentiate, move alpha; returns losses, coefficients and angle by name.

        progress is the share of the search that is done, 0 to 1: beta-decay grows with it.
        Of several processes each has parts of the batches, and all make the same step.
        """
        w_EO = self.strategy.edge_weights()
        attacked = self._attacked(w_EO.detach(), alpha_batch, weight_batch, attack)
        losses = self._losses(alpha_batch, weight_batch, attacked)
        # Alpha's forward passes move no running statistics: those belong to the weights' images.
        with kept_statistics(self.net), self._constants():
            parts = self.strategy.alpha_gradients(w_EO, losses, weight_step)
        # From here on all processes do the same.
        gradients_TP, losses_T = self.ranks.summed(parts)
        direction, coefficients_T = self.objective.direction(gradients_TP)
        self._move(direction.view_as(self.strategy.alpha), progress)
        return self._record(gradients_TP, losses_T, coefficients_T)

    def _constants(self) -> AbstractContextManager[None]:
        """The weights as constants, unless the strategy differentiates them, too."""
        if self.strategy.differentiates_weights:
            return nullcontext()
        return constant_weights(self.net)

    def _attacked(
        self, w_EO: Tensor, alpha_batch: Batch, weight_batch: Batch, attack: Attack | None
    ) -> Attacked:
        robust = "robust" in self.objective.terms
        if attack is None or not (robust or self.strategy.needs_training_batch):
            return Attacked(None, None)
        model = self.strategy.fold(self.net, w_EO)
        return Attacked(
            attack(model, *alpha_batch) if robust else None,
            attack(model, *weight_batch) if self.strategy.needs_training_batch else None,
        )

    def _losses(self, alpha_batch: Batch, weight_batch: Batch, attacked: Attacked) -> Losses:
        (xa, ya), (xw, yw) = alpha_batch, weight_batch
        images = {"clean": xa, "robust": attacked.alpha}
        trained = xw if attacked.weights is None else attacked.weights

        def loss(w_EO: Tensor, x: Tensor | None, y: Tensor) -> Tensor:
            assert x is not None, "a robust term has attacked images"
            mean = F.cross_entropy(self.strategy.logits(self.net, x, w_EO), y)
            return self.ranks.weigh(mean, len(y), self.config.batch_size)

        return Losses(
            validation=lambda w_EO: [loss(w_EO, images[t], ya) for t in self.objective.terms],
            training=lambda w_EO: loss(w_EO, trained, yw),
            summed=self.ranks.summed,
        )

    def _move(self, gradient_EO: Tensor, progress: float) -> None:
        alpha, regulariser = self.strategy.alpha, self.strategy.regulariser()
        if regulariser is not None:
            gradient_EO = gradient_EO + torch.autograd.grad(regulariser, alpha)[0]
        alpha.grad = gradient_EO
        self.optimiser.step()
        decay_step(alpha, self.config.beta_decay * progress, self.config.alpha_lr)

    def _record(
        self, gradients_TP: Tensor, losses_T: Tensor, coefficients_T: Tensor
    ) -> dict[str, Tensor]:
        terms = self.objective.terms
        record = {f"alpha_{name}_loss": loss for name, loss in zip(terms, losses_T, strict=True)}
        record |= {f"coefficient_{n}": c for n, c in zip(terms, coefficients_T, strict=True)}
        if len(terms) == 2:
            record["conflict_angle_deg"] = conflict_angle(*gradients_TP)
        return record
