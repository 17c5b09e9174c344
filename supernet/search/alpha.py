"""Moves alpha: a step on images of the alpha half, then beta-decay.

The costly part, from folding and attack to the losses' gradients at the edge weights, is a region
(`ops.regions`): on a GPU it is captured as one CUDA graph. What follows are some operators on 30
numbers.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.candidates import kept_statistics
from ops.regions import Region
from supernet.attacks.frozen import constant_weights
from supernet.distributed import ALONE, Ranks
from supernet.nets.supernet import Supernet
from supernet.search.config import SearchConfig
from supernet.search.halves import Batch
from supernet.search.objectives import Objective, conflict_angle
from supernet.search.step_attack import StepAttack
from supernet.search.strategies import Losses, Strategy, WeightStep
from supernet.search.strategies.base import edge_gradients
from supernet.search.strategies.regularisers import decay_step

# Published settings of DARTS.
BETAS, WEIGHT_DECAY = (0.5, 0.999), 1e-3


def why_not_captured(strategy: Strategy, ranks: Ranks) -> str:
    """Why a search's passes are never captured as CUDA graphs; empty where they may be."""
    if ranks.count > 1:
        return "several processes share its batches; attacks are captured"
    return f"{strategy.varies}; attacks are captured" if strategy.varies else ""


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
        never = why_not_captured(strategy, ranks)
        if strategy.differentiates_weights:
            never = never or "it goes through a step of the weights; attacks are captured"
        self.region = Region("alpha's pass", net.trained_tensors, never)

    def step(
        self,
        alpha_batch: Batch,
        weight_batch: Batch,
        attack: StepAttack | None,
        weight_step: WeightStep,
        *,
        progress: float,
    ) -> dict[str, Tensor]:
        """Attack, differentiate, move alpha; returns losses, coefficients and angle by name.

        progress is the share of the search that is done, 0 to 1: beta-decay grows with it.
        Of several processes each has parts of the batches, and all make the same step.
        """
        w_EO = self.strategy.edge_weights()
        if self.strategy.differentiates_weights:
            losses = self._losses(w_EO.detach(), alpha_batch, weight_batch, attack)
            with kept_statistics(self.net):
                parts = self.strategy.alpha_gradients(losses, weight_step)
        else:
            gradients_TEO, losses_T = self._first_order(w_EO.detach(), alpha_batch, attack)
            parts = self.strategy.through_edges(w_EO, gradients_TEO), losses_T
        # From here on all processes do the same.
        gradients_TP, losses_T = self.ranks.summed(parts)
        direction, coefficients_T = self.objective.direction(gradients_TP)
        self._move(direction.view_as(self.strategy.alpha), progress)
        return self._record(gradients_TP, losses_T, coefficients_T)

    def at_edges(
        self, attack: StepAttack | None, x: Tensor, y: Tensor, w_EO: Tensor, *drawn: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The body of the region: attack images where alpha follows the robust loss, and
        differentiate the objective's terms with respect to the edge weights.

        `drawn` are the attack's random numbers, and there are none without one.
        """
        robust = attack(self.strategy.fold(self.net, w_EO), x, y, *drawn) if attack else None
        # Alpha's forward passes move no running statistics: those belong to the weights' images.
        with kept_statistics(self.net), constant_weights(self.net):
            return edge_gradients(lambda leaf: self._terms(leaf, x, robust, y), w_EO)

    def _first_order(
        self, w_EO: Tensor, batch: Batch, attack: StepAttack | None
    ) -> tuple[Tensor, Tensor]:
        x, y = batch
        attack = attack if "robust" in self.objective.terms else None
        drawn = [attack.draw(x)] if attack else []
        gradients_TEO, losses_T = self.region.run(
            functools.partial(self.at_edges, attack), [x, y, w_EO, *drawn],
            key=(attack, self.net.form_of_passes),
        )  # fmt: skip
        return gradients_TEO, losses_T

    def _losses(
        self, w_EO: Tensor, alpha_batch: Batch, weight_batch: Batch, attack: StepAttack | None
    ) -> Losses:
        (xa, ya), (xw, yw) = alpha_batch, weight_batch
        self.region.say_why_not(xa)
        robust = None
        if attack is not None:
            model = self.strategy.fold(self.net, w_EO)
            if "robust" in self.objective.terms:
                robust = attack(model, xa, ya, attack.draw(xa))
            xw = attack(model, xw, yw, attack.draw(xw))
        return Losses(
            validation=lambda w_EO: self._terms(w_EO, xa, robust, ya),
            training=lambda w_EO: self._loss(w_EO, xw, yw),
            summed=self.ranks.summed,
        )

    def _terms(self, w_EO: Tensor, clean: Tensor, robust: Tensor | None, y: Tensor) -> list[Tensor]:
        images = {"clean": clean, "robust": robust}
        return [self._loss(w_EO, images[term], y) for term in self.objective.terms]

    def _loss(self, w_EO: Tensor, x: Tensor | None, y: Tensor) -> Tensor:
        assert x is not None, "a robust term has attacked images"
        mean = F.cross_entropy(self.strategy.logits(self.net, x, w_EO), y)
        return self.ranks.weigh(mean, len(y), self.config.batch_size)

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
