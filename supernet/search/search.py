"""The search itself: one supernet, one alpha, two optimisers, and their state.

One step attacks and differentiates an alpha batch, moves alpha, then attacks and differentiates a
weight batch and moves the weights; a GPU replays both as CUDA graphs (`ops.regions`). `Search`
holds everything that a checkpoint must hold and says in which order things happen; `halves`,
`weights` and `alpha` do them, `measure` and `gains` look at the network, `supernet.runs.search_run`
makes a run directory of it.
"""

import functools
from typing import Any

import torch
from torch import Tensor

from ops.space import NONE
from ops.synchronised import synchronise
from supernet.attacks import ATTACKS
from supernet.attacks.accuracy import Attack
from supernet.attacks.arithmetic import resolve_attack_dtype
from supernet.data import ImageData, load_dataset
from supernet.distributed import ALONE, Ranks
from supernet.finite import Watch, norm
from supernet.nets.supernet import Supernet
from supernet.precision import repeatable
from supernet.randomness import Randomness
from supernet.search.alpha import Alpha
from supernet.search.config import SearchConfig
from supernet.search.derive import refuse_unfit, restriction
from supernet.search.halves import Batch, Halves
from supernet.search.objectives import make_objective
from supernet.search.step_attack import StepAttack
from supernet.search.strategies import make_strategy
from supernet.search.weights import Weights
from supernet.shared_batches import gather_rows

PROBE_STEPS = 10
"""Steps of the PGD that measures robust accuracy on the alpha half after each epoch."""


def load_images(config: SearchConfig, device: torch.device) -> ImageData:
    """The images of a search; no test images are read.

    Raises: UserError when they cannot be read, or shrunk as the config says.
    """
    data = load_dataset(
        config.dataset, data_root=config.data_root, limit=config.limit, side=config.side,
        val=config.val, test_limit=0, device=device,
    )  # fmt: skip
    return data.shrink(config.shrink)


class Search:
    """A search in progress on one device.

    `data` must be on `device`. All randomness comes from config.seed. `impl` and `attack_dtype` are
    the form of the mixed cell and the arithmetic of attacks where they are to be others than the
    config's. With `ranks` of several processes each has a search, and they stay the same:
    `config.batch_size` counts the images of all.
    Raises: UserError when the images are too few for the batch size, no cell fits the budget, or a
            cell that --proposals names may not be the answer.
    """

    def __init__(
        self, config: SearchConfig, data: ImageData, device: torch.device,
        impl: str | None = None, attack_dtype: str | None = None, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.config, self.data, self.device, self.ranks = config, data, device, ranks
        self.fits = restriction(config.budgets, data.num_classes, data.full_size)
        """Which cells may be the answer; None where nothing limits them."""
        refuse_unfit(config.named_cells, config.allows_none, self.fits)
        self.random = Randomness(config.seed, device, ranks)
        self.net = Supernet(
            C=config.C, N=config.N, num_classes=data.num_classes, mean=data.mean, std=data.std,
            impl=impl or config.impl,
        ).use_layout(torch.channels_last).to(device)  # fmt: skip
        if ranks.count > 1 and config.sync_batch_norm:
            synchronise(self.net, gather_rows)
        self.strategy = make_strategy(config.strategy, self.random["alpha"]).to(device)
        self.objective = make_objective(
            config.objective, config.alpha_follows, config.robust_weight
        )
        self.eps = data.eps if config.eps is None else config.eps
        self.attack: Attack | None = None
        self.probe: Attack | None = None
        """The attack of weights and alpha, and the PGD that measures; None in a clean search."""
        self.attack_dtype: str | None = None
        """The arithmetic of `attack`: float32 or bfloat16; None in a clean search."""
        if config.robust:
            self.attack, self.probe = self._attacks()
            self.attack_dtype = resolve_attack_dtype(attack_dtype or config.attack_dtype, device)
        self.images = Halves(data, config.batch_size, self.random, ranks, balance=config.balance)
        self.weights = Weights(
            self.net, self.strategy, config, self.total_steps, self.random["paths"], ranks
        )
        self.alpha = Alpha(self.net, self.strategy, self.objective, config, ranks)
        self.watch = Watch(device)
        self.step = 0
        self.totals: dict[str, Tensor] = {}
        """Sums over the steps of the current epoch, on the device: read once, at its end."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the weight half."""
        return len(self.images.weight_batches)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self.steps_per_epoch

    @property
    def lr(self) -> float:
        """The learning rate of the next weight step."""
        return self.weights.lr

    @property
    def warming_up(self) -> bool:
        return self.epoch < self.config.warmup_epochs

    @property
    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        """All that move a parameter."""
        return self.weights.optimiser, self.alpha.optimiser

    @property
    def remedy(self) -> str:
        """What to do where the numbers of the weights are not finite any more."""
        return f"start a new run with a lower --lr (it is {self.config.lr:g})"

    def train_step(self) -> None:
        """One step: alpha first (after the warm-up), then the weights.

        Raises: Diverged when a loss, alpha or the weights are not finite; on a GPU some steps later
                (`Watch`).
        """
        dtype = getattr(torch, self.config.train_dtype)
        with repeatable(), self.watch.blamed(), self.net.convolving_in(dtype):
            self._train_step()
        self.step += 1
        self.watch.refuse_if_due(self.step, self.steps_per_epoch)

    def _train_step(self) -> None:
        self.net.train()
        if self.step % self.steps_per_epoch == 0:
            self._set_progress()
        weight_batch = self.images.next_weights()
        if self.warming_up:
            self._weight_step(weight_batch, None, single_cells=False)
        else:
            attack = self.make_attack()
            self._alpha_step(weight_batch, attack)
            self._weight_step(weight_batch, attack, single_cells=True)

    def _alpha_step(self, weight_batch: Batch, attack: StepAttack | None) -> None:
        values = self.alpha.step(
            self.images.next_alpha(), weight_batch, attack, self.weights.upcoming(),
            progress=self.step / self.total_steps,
        )  # fmt: skip
        losses = {name: value for name, value in values.items() if name.endswith("_loss")}
        self.watch.note(losses, self.step + 1, self.remedy)
        state: dict[str, Tensor] = {"alpha": self.strategy.alpha}
        if not self.config.reads_none:
            # Minus infinity where `none` has all the weight there is: no cell can be drawn or read.
            w_EO = self.strategy.expected_weights()[:, NONE + 1 :]
            state["log of the edge weights besides none"] = w_EO.sum(1).log()
        # Its gradient may overflow in a network whose weights are too large already.
        lr = self.config.alpha_lr
        self.watch.note(state, self.step + 1, f"{self.remedy} or a lower --alpha-lr (it is {lr:g})")
        self._count(values)

    def _weight_step(self, batch: Batch, attack: StepAttack | None, *, single_cells: bool) -> None:
        loss = self.weights.step(batch, attack, single_cells=single_cells)
        values = {"train_loss": loss, "norm of the weights": norm(self.net.parameters())}
        self.watch.note(values, self.step + 1, self.remedy)
        self._count({"train_loss": loss})

    def make_attack(self) -> StepAttack | None:
        """The attack of a step, in `attack_dtype`; None in a clean search."""
        if self.attack is None:
            return None
        dtype = getattr(torch, str(self.attack_dtype))
        return StepAttack(self.attack, self.random["attack"], dtype)

    def epoch_means(self) -> dict[str, float]:
        """Means over the steps of the epoch that has just ended."""
        means = {name: float(t) / self.steps_per_epoch for name, t in self.totals.items()}
        self.totals = {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the search depends on, for `weights_only=True` loading."""
        return {
            "step": self.step,
            "totals": self.totals,
            "net": self.net.state_dict(),
            "strategy": self.strategy.state_dict(),
            "weights": self.weights.state_dict(),
            "alpha": self.alpha.optimiser.state_dict(),
            "images": self.images.state_dict(),
            "random": self.random.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, bit for bit on the same machine and threads."""
        self.step = state["step"]
        self.totals = {name: t.to(self.device) for name, t in state["totals"].items()}
        self.alpha.optimiser.load_state_dict(state["alpha"])
        for name in ("net", "strategy", "weights", "images", "random"):
            getattr(self, name).load_state_dict(state[name])
        self._set_progress()

    def scoring_state(self) -> dict[str, Any]:
        """What scoring cells depends on, and alpha: a fraction of `state_dict`."""
        return {"step": self.step, "net": self.net.state_dict(), "alpha": self.strategy.alpha.data}

    def _attacks(self) -> tuple[Attack, Attack]:
        config = self.config
        attack = functools.partial(
            ATTACKS[config.attack], eps=self.eps, generator=self.random["attack"], trusted=True,
            steps=config.attack_steps if config.attack == "pgd" else 1,
        )  # fmt: skip
        probe = functools.partial(ATTACKS["pgd"], eps=self.eps, steps=PROBE_STEPS, trusted=True)
        return attack, probe

    def _set_progress(self) -> None:
        # 0 in the first epoch, 1 in the last.
        self.strategy.set_progress(min(1.0, self.epoch / max(self.config.epochs - 1, 1)))

    def _count(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            total = self.totals.get(name)
            self.totals[name] = value.clone() if total is None else total + value
