"""The search itself: one supernet, one alpha, two optimisers, and their state.

One step attacks and differentiates an alpha batch, moves alpha, then attacks and differentiates a
weight batch and moves the weights. `Search` holds everything that a checkpoint must hold;
`supernet.search.measure` evaluates it, `supernet.runs.search_run` makes a run directory of it.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.candidates import kept_statistics
from ops.mixed import EdgeWeights
from ops.space import NONE, NUM_EDGES, SKIP
from supernet.attacks import ATTACKS
from supernet.attacks.accuracy import Attack
from supernet.cells.genotype import Genotype
from supernet.data import (
    Batches,
    ImageData,
    augment,
    load_dataset,
    split_halves,
    to_float,
)
from supernet.errors import UserError
from supernet.nets.supernet import Supernet
from supernet.randomness import Randomness
from supernet.search.config import SearchConfig
from supernet.search.derive import Fits, argmax_cell, uniform_cell
from supernet.search.objectives import conflict_angle, cost_share, expected_cost, make_objective
from supernet.search.preference import accuracy_preference
from supernet.search.strategies import Losses, WeightStep, make_strategy
from supernet.search.strategies.regularisers import decay_step

ALPHA_BETAS = (0.5, 0.999)
CALIBRATION_IMAGES = 256
"""Clean images of the weight half whose batch statistics evaluation freezes."""


def load_images(config: SearchConfig, device: torch.device) -> ImageData:
    """The images of a search; no test images are read.

    Raises: UserError when they cannot be read, or shrunk as the config says.
    """
    data = load_dataset(
        config.dataset, data_root=config.data_root, limit=config.limit, side=config.side,
        test_limit=0, device=device,
    )  # fmt: skip
    return data.shrink(config.shrink)


class Search:
    """A search in progress on one device.

    `data` must be on `device`. All randomness comes from config.seed.
    Raises: UserError when the images are too few for the batch size.
    """

    def __init__(self, config: SearchConfig, data: ImageData, device: torch.device) -> None:
        self.config, self.data, self.device = config, data, device
        self.random = Randomness(config.seed, device)
        self.net = Supernet(
            C=config.C, N=config.N, num_classes=data.num_classes, mean=data.mean, std=data.std,
            affine=config.affine, impl=config.impl,
        ).to(device)  # fmt: skip
        self.strategy = make_strategy(config.strategy, self.random["alpha"]).to(device)
        self.objective = make_objective(
            config.objective_name,
            robust_weight=config.robust_weight,
            size_weight=config.size_weight,
        )
        make = self.objective.preferences
        self.preferences = None if make is None else make().to(device)
        """Of a search for a front: what makes alpha of a preference. Between the steps
        `strategy.alpha` is that of `accuracy_preference`."""
        self.prefer(accuracy_preference(config.robust_weight))
        self._check_budget()
        self.eps = data.eps if config.eps is None else config.eps
        self.weight_attack = self._attack(config.weight_attack)
        self.alpha_attack = self._attack(config.alpha_attack or config.weight_attack)
        self.probe_attack = functools.partial(
            ATTACKS["pgd"], eps=self.eps, steps=config.probe_steps
        )
        self._split_images()
        self._make_optimisers()
        self.step = 0
        self.totals: dict[str, Tensor] = {}
        """Sums over the steps of the current epoch, on the device: read once, at its end."""

    def _check_budget(self) -> None:
        if self.config.budget is not None and not self.fits(Genotype((SKIP,) * NUM_EDGES)):
            metric, most = self.config.budget
            least = self.cost(Genotype((SKIP,) * NUM_EDGES), metric)
            raise UserError(
                f"no cell has {metric} of {most:,.0f} or less; the smallest has {least:,} on these "
                f"images: raise --max-{metric}"
            )

    def cost(self, cell: Genotype, metric: str) -> int:
        """Of the stand-alone network (C=16, N=5) for these classes and images."""
        return cell.cost(metric, self.data.num_classes, self.data.full_size)

    def fits(self, cell: Genotype) -> bool:
        """Whether a cell is within the budget; where there is none, all are."""
        budget = self.config.budget
        return budget is None or self.cost(cell, budget[0]) <= budget[1]

    @property
    def restriction(self) -> Fits | None:
        """What restricts the cells that are derived: `fits`, or None without a budget."""
        return None if self.config.budget is None else self.fits

    def _attack(self, name: str) -> Attack:
        steps = self.config.attack_steps if name == "pgd" else 1
        return functools.partial(
            ATTACKS[name], eps=self.eps, steps=steps, generator=self.random["attack"]
        )

    def _split_images(self) -> None:
        data, size = self.data, self.config.batch_size
        weight_half, alpha_half = split_halves(
            len(data.train_y), data.train_y, self.random["split"]
        )
        if min(len(weight_half), len(alpha_half)) < size:
            raise UserError(
                f"{len(data.train_y)} training images make halves of {len(alpha_half)}, fewer than "
                f"one batch of {size}; lower --batch-size or raise --limit"
            )
        self.weight_half, self.alpha_half = weight_half, alpha_half
        self.weight_batches = Batches(weight_half, size, self.random["weight_order"])
        self.alpha_batches = Batches(alpha_half, size, self.random["alpha_order"])

    def _make_optimisers(self) -> None:
        config = self.config
        self.weight_optimiser = torch.optim.SGD(
            self.net.parameters(), lr=config.lr, momentum=config.momentum,
            weight_decay=config.weight_decay, nesterov=config.momentum > 0,
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.weight_optimiser, self.total_steps, eta_min=config.lr_min
        )
        self.alpha_optimiser = torch.optim.Adam(
            (self.preferences or self.strategy).parameters(), lr=config.alpha_lr, betas=ALPHA_BETAS,
            weight_decay=config.alpha_weight_decay,
        )  # fmt: skip

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the weight half."""
        return len(self.weight_batches)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self.steps_per_epoch

    @property
    def warming_up(self) -> bool:
        return self.epoch < self.config.warmup_epochs

    def train_step(self) -> None:
        """One step: alpha first (after the warm-up), then the weights."""
        self.net.train()
        if self.step % self.steps_per_epoch == 0:
            self._set_progress()
        if self.preferences is not None:
            self.prefer(self.preferences.draw(self.random["preference"]))
        weight_batch = self._images(next(self.weight_batches))
        if not self.warming_up:
            self._alpha_step(self._images(next(self.alpha_batches)), weight_batch)
        self._weight_step(*weight_batch)
        self.step += 1
        self.prefer(accuracy_preference(self.config.robust_weight))

    @torch.no_grad()
    def prefer(self, preference_M: Tensor) -> None:
        """Make alpha that of a preference; without `preferences` there is nothing to do."""
        if self.preferences is not None:
            self.preference = preference_M.to(self.device)
            self.strategy.alpha.copy_(self.preferences(self.preference))

    def _set_progress(self) -> None:
        # 0 in the first epoch, 1 in the last.
        self.strategy.set_progress(min(1.0, self.epoch / max(self.config.epochs - 1, 1)))

    def _images(self, index: Tensor) -> tuple[Tensor, Tensor]:
        index = index.to(self.device)
        x = augment(self.data.train_x[index], self.random["augment"], self.data.pad, self.data.flip)
        return x.contiguous(memory_format=torch.channels_last), self.data.train_y[index]

    # -- weights -------------------------------------------------------------------------------

    def _weight_step(self, x: Tensor, y: Tensor) -> None:
        trained = self._trained_weights()
        self.weight_optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for w_EO in trained:
            loss = self._attacked_loss(w_EO, x, y) / len(trained)
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.grad_clip)
        self.weight_optimiser.step()
        self.schedule.step()
        self._count("train_loss", total)

    def _attacked_loss(self, w_EO: EdgeWeights, x: Tensor, y: Tensor) -> Tensor:
        attack = self.config.robust and not self.warming_up
        x_adv = self._attacked(self.weight_attack, x, y, w_EO) if attack else None
        if not isinstance(w_EO, tuple):
            return self._weight_loss(w_EO, x, x_adv, y)
        # Activations of a single cell have another scale (in a fresh network five times the
        # variance): its statistics stay out of the running ones, which are the mixture's.
        with kept_statistics(self.net):
            loss = self._weight_loss(w_EO, x, x_adv, y)
            if self.config.distill > 0:
                loss = loss + self.config.distill * self._distillation(
                    w_EO, x if x_adv is None else x_adv
                )
        return loss

    def _distillation(self, cell: tuple[int, ...], x: Tensor) -> Tensor:
        """Mean over images of sum_k p_k (log p_k - log q_k): p the mixture's prediction, q the
        cell's, at temperature 1. No gradient to p.

        Differs: with x attacked for the cell this is adversarial distillation as of Goldblum et al.
        2020, arXiv:1905.09747, except that their teacher sees the clean images.
        """
        with torch.no_grad():
            teacher = self.net(x, self.strategy.expected_weights()).log_softmax(1)
        student = self.net(x, cell).log_softmax(1)
        return F.kl_div(student, teacher, reduction="batchmean", log_target=True)

    def _trained_weights(self) -> list[EdgeWeights]:
        """What a step trains: the mixture, or for a share of the steps what `path_kind` says."""
        stream, config = self.random["paths"], self.config
        path = torch.rand((), generator=stream).item() < config.path_share
        if self.warming_up or not path:
            return [self.strategy.edge_weights().detach()]
        if config.path_kind == "uniform":
            return [uniform_cell(stream, config.derive_none).ops]
        # Alpha is 30 numbers; on a GPU this wait is paid in path steps alone.
        w_EO = self.strategy.expected_weights().cpu()
        if config.path_kind == "sandwich":
            cells = (
                uniform_cell(stream, config.derive_none),
                argmax_cell(w_EO, config.derive_none),
            )
            return [self.strategy.edge_weights().detach(), *(cell.ops for cell in cells)]
        if not config.derive_none:
            w_EO[:, NONE] = 0
        return [tuple(torch.multinomial(w_EO, 1, generator=stream).flatten().tolist())]

    def _weight_loss(self, w_EO: EdgeWeights, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Tensor:
        if x_adv is None:
            return F.cross_entropy(self.net(x, w_EO), y)
        share = self.config.clean_share
        terms = []
        if share < 1:
            terms.append((1 - share) * F.cross_entropy(self.net(x_adv, w_EO), y))
        if share > 0:
            terms.append(share * F.cross_entropy(self.net(x, w_EO), y))
        return torch.stack(terms).sum()

    def _attacked(self, attack: Attack, x: Tensor, y: Tensor, w_EO: EdgeWeights) -> Tensor:
        """Attack the folded network: frozen batch norm, one fold for all steps of the attack.

        A single cell has no running statistics of its own and is frozen with the batch's.
        """
        statistics = "batch" if isinstance(w_EO, tuple) else self.config.bn_statistics
        model = self.net.fold(w_EO, statistics=statistics, x=x if statistics == "batch" else None)
        if self.config.attack_dtype != "float32":
            model = model.to(getattr(torch, self.config.attack_dtype))
        return attack(model, x, y)

    # -- alpha ---------------------------------------------------------------------------------

    def _alpha_step(
        self, alpha_batch: tuple[Tensor, Tensor], weight_batch: tuple[Tensor, Tensor]
    ) -> None:
        # Alpha's forward passes move no running statistics: those belong to the weights' images.
        with kept_statistics(self.net):
            gradients_TP, losses_T = self.strategy.alpha_gradients(
                self._losses(alpha_batch, weight_batch), self._upcoming_weight_step()
            )
        preference = None if self.preferences is None else self.preference
        direction, coefficients = self.objective.direction(gradients_TP, losses_T, preference)
        alpha = self.strategy.alpha
        (regulariser,) = torch.autograd.grad(self.strategy.regulariser(), alpha)
        self._move_alpha(direction.view_as(alpha) + regulariser)
        self._count_alpha(gradients_TP, losses_T, coefficients)

    def _move_alpha(self, gradient_EO: Tensor) -> None:
        """Adam's step, then beta-decay's; of a search for a front, those of what makes alpha.

        The strategy sees 30 logits in either case: alpha is linear in the parameters behind it, so
        that its gradient is all they need, also that of second order.
        """
        alpha, preferences = self.strategy.alpha, self.preferences
        strength = self._decay_strength()
        if preferences is None:
            alpha.grad = gradient_EO
            self.alpha_optimiser.step()
            decay_step(alpha, strength, self.config.alpha_lr)
            return
        preferences.set_gradient(self.preference, gradient_EO)
        self.alpha_optimiser.step()
        self.prefer(self.preference)
        before = alpha.detach().clone()
        decay_step(alpha, strength, self.config.alpha_lr)
        preferences.move(self.preference, alpha.detach() - before)

    def _decay_strength(self) -> float:
        return self.config.beta_decay * self.step / self.total_steps

    def _losses(
        self, alpha_batch: tuple[Tensor, Tensor], weight_batch: tuple[Tensor, Tensor]
    ) -> Losses:
        """The closures that strategies differentiate; `prepare` makes their attacked images."""
        (xa, ya), (xw, yw) = alpha_batch, weight_batch
        attacked: dict[str, Tensor] = {}

        def prepare(w_EO: Tensor) -> None:
            if "robust" in self.objective.terms:
                attacked["alpha"] = self._attacked(self.alpha_attack, xa, ya, w_EO)
            if self.strategy.needs_training_batch and self.config.robust:
                attacked["weights"] = self._attacked(self.weight_attack, xw, yw, w_EO)

        terms: dict[str, Callable[[Tensor], Tensor]] = {
            "clean": lambda w_EO: F.cross_entropy(self.net(xa, w_EO), ya),
            "robust": lambda w_EO: F.cross_entropy(self.net(attacked["alpha"], w_EO), ya),
            "size": self.expected_cost,
            "excess": self._excess,
        }
        return Losses(
            validation=lambda w_EO: [terms[name](w_EO) for name in self.objective.terms],
            training=lambda w_EO: self._weight_loss(w_EO, xw, attacked.get("weights"), yw),
            prepare=prepare,
        )

    def expected_cost(self, w_EO: Tensor) -> Tensor:
        """`objectives.expected_cost` of this search's network."""
        return expected_cost(
            w_EO, self.config.size_metric, num_classes=self.data.num_classes,
            image_size=self.data.image_size, C=self.config.C, N=self.config.N,
        )  # fmt: skip

    def _excess(self, w_EO: Tensor) -> Tensor:
        """max(0, E[cost] - budget), both of the stand-alone network as shares of all-3x3's."""
        assert self.config.budget is not None
        metric, most = self.config.budget
        images = {"num_classes": self.data.num_classes, "image_size": self.data.full_size}
        cost = expected_cost(w_EO, metric, **images, C=16, N=5)
        return (cost - cost_share(most, metric, **images)).clamp_min(0)

    def _upcoming_weight_step(self) -> WeightStep:
        parameters = list(self.net.parameters())
        state = self.weight_optimiser.state
        return WeightStep(
            parameters=parameters,
            lr=float(self.schedule.get_last_lr()[0]),
            momentum=self.config.momentum,
            nesterov=self.config.momentum > 0,
            weight_decay=self.config.weight_decay,
            buffers=[state[p].get("momentum_buffer") for p in parameters],
        )

    # -- measurements --------------------------------------------------------------------------

    def _count(self, name: str, value: Tensor) -> None:
        total = self.totals.get(name)
        self.totals[name] = value.clone() if total is None else total + value

    def _count_alpha(self, gradients_TP: Tensor, losses_T: Tensor, coefficients: Tensor) -> None:
        for name, loss, c in zip(self.objective.terms, losses_T, coefficients, strict=True):
            self._count(f"alpha_{name}_loss", loss)
            self._count(f"coefficient_{name}", c)
        if {"clean", "robust"} <= set(self.objective.terms):
            clean, robust = (self.objective.terms.index(name) for name in ("clean", "robust"))
            self._count(
                "conflict_angle_deg", conflict_angle(gradients_TP[clean], gradients_TP[robust])
            )

    def epoch_means(self) -> dict[str, float]:
        """Means over the steps of the epoch that has just ended; the only read from the device."""
        means = {name: float(t) / self.steps_per_epoch for name, t in self.totals.items()}
        self.totals = {}
        return means

    def held_out(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` images of the alpha half, the same at every call, as they are."""
        return self._fixed_images(self.alpha_half, count)

    def calibration(self) -> Tensor:
        """Images of the weight half whose statistics batch norm is frozen with."""
        return self._fixed_images(self.weight_half, CALIBRATION_IMAGES)[0]

    def _fixed_images(self, half: Tensor, count: int) -> tuple[Tensor, Tensor]:
        # Evenly spaced: files are often sorted by class.
        count = min(count, len(half))
        return self.images_at(half[torch.arange(count) * len(half) // count])

    def images_at(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Training images by number, as they are, and their labels."""
        index = index.to(self.device)
        x = to_float(self.data.train_x[index])
        return x.contiguous(memory_format=torch.channels_last), self.data.train_y[index]

    # -- state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the search depends on, for `weights_only=True` loading."""
        return {
            "preferences": self.preferences.state_dict() if self.preferences else None,
            "step": self.step,
            "totals": self.totals,
            "net": self.net.state_dict(),
            "strategy": self.strategy.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "weight_batches": self.weight_batches.state_dict(),
            "alpha_batches": self.alpha_batches.state_dict(),
            "random": self.random.state_dict(),
        }

    def weights(self) -> dict[str, Any]:
        """What scoring cells depends on, and alpha: a fraction of `state_dict`."""
        return {"step": self.step, "net": self.net.state_dict(), "alpha": self.strategy.alpha.data}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, bit for bit on the same machine and threads."""
        self.step = state["step"]
        self.totals = {name: t.to(self.device) for name, t in state["totals"].items()}
        for name in ("net", "strategy", "weight_optimiser", "alpha_optimiser", "schedule",
                     "weight_batches", "alpha_batches", "random"):  # fmt: skip
            getattr(self, name).load_state_dict(state[name])
        if self.preferences is not None:
            self.preferences.load_state_dict(state["preferences"])
        self._set_progress()
