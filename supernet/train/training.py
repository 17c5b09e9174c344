"""Stand-alone adversarial training of one cell's network, by the benchmark's recipe.

`Training` holds everything that a checkpoint must hold; `supernet.runs.train_run` makes a run
directory of it.
Source: Wu et al. 2024, arXiv:2403.13134, and the settings of its published code.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.synchronised import synchronise
from supernet.attacks import ATTACKS
from supernet.attacks.accuracy import evaluate
from supernet.cells.genotype import Genotype
from supernet.data import Batches, ImageData, augment, sent_to, to_float
from supernet.distributed import ALONE, Ranks
from supernet.errors import UserError
from supernet.finite import Watch, norm
from supernet.nets.derived import DerivedNetwork
from supernet.precision import repeatable
from supernet.randomness import Randomness
from supernet.shared_batches import add_up_gradients, average_statistics, gather_rows
from supernet.train.config import TrainConfig

MOMENTUM = 0.9
"""The one-cycle schedule overwrites it: torch's default cycles momentum from 0.95 to 0.85."""


class Training:
    """A training in progress on one device. `data` must be on `device`.

    Each step attacks a batch with batch norm frozen at its running statistics (the network in
    evaluation mode, folded: the same function, faster) and minimises the cross-entropy of the
    attacked images alone. With `ranks` of several processes each has a training and a part of every
    batch, and they stay the same: `config.batch_size` counts the images of all.

    Raises: UserError when the images are too few for the batch size, or a batch for the processes.
    Differs: the images that fill no batch at the end of an epoch are left for the next one; the
             benchmark's code takes them as a smaller batch.
    """

    def __init__(
        self, config: TrainConfig, genotype: Genotype, data: ImageData, device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.config, self.genotype, self.data, self.device = config, genotype, data, device
        self.ranks = ranks
        if config.batch_size > len(data.train_y):
            raise UserError(
                f"a batch of {config.batch_size} cannot be taken from {len(data.train_y)} training"
                " images; lower --batch-size or raise --limit"
            )
        self.random = Randomness(config.seed, device, ranks)
        self.net = DerivedNetwork(
            genotype, C=config.C, N=config.N, num_classes=data.num_classes, mean=data.mean,
            std=data.std,
        ).use_layout(torch.channels_last).to(device)  # fmt: skip
        if ranks.count > 1 and config.sync_batch_norm:
            synchronise(self.net, gather_rows)
        self.eps = data.eps if config.eps is None else config.eps
        self.attack = make_attack(config, self.eps)
        self.batches = Batches(
            torch.arange(len(data.train_y)),
            config.batch_size,
            self.random["weight_order"],
            data.train_y if config.balance else None,
        )
        ranks.part(torch.arange(config.batch_size))
        self.optimiser = torch.optim.SGD(
            self.net.parameters(), lr=config.lr, momentum=MOMENTUM,
            weight_decay=config.weight_decay,
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, max_lr=config.lr, total_steps=self.total_steps
        )
        self.ema = _average(self.net, config.ema_decay) if config.ema else None
        self.watch = Watch(device)
        self.step = 0
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        """Sums over the steps of the current epoch: loss, right answers. Read at its end."""

    @property
    def steps_per_epoch(self) -> int:
        return len(self.batches)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self.steps_per_epoch

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    @property
    def result(self) -> DerivedNetwork:
        """The network that is monitored and saved: the average where one is kept."""
        if self.ema is None:
            return self.net
        average = self.ema.module
        assert isinstance(average, DerivedNetwork)
        return average

    @property
    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        """All that move a parameter."""
        return (self.optimiser,)

    @property
    def remedy(self) -> str:
        """What to do where its numbers are not finite any more."""
        return f"start a new run with a lower --lr (it is {self.config.lr:g})"

    def train_step(self) -> None:
        """Attack one batch and learn from it.

        Raises: Diverged when the loss or the weights are not finite; on a GPU some steps later
                (`Watch`).
        """
        dtype = getattr(torch, self.config.train_dtype)
        with repeatable(), self.watch.blamed(), self.net.convolving_in(dtype):
            self._train_step()
        self.watch.refuse_if_due(self.step, self.steps_per_epoch)

    def _train_step(self) -> None:
        index = sent_to(self.device, self.ranks.part(next(self.batches)))
        x, y = self.data.train_x[index], self.data.train_y[index]
        x = augment(x, self.random["augment"], self.data.pad, self.data.flip)
        x = x.contiguous(memory_format=torch.channels_last)
        if self.attack is not None:
            x = self.attack(self.net.eval().fold(), x, y, generator=self.random["attack"])
        self.net.train()
        logits = self.net(x)
        loss, right = F.cross_entropy(logits, y), (logits.argmax(1) == y).double().mean()
        loss, right = (
            self.ranks.weigh(mean, len(y), self.config.batch_size) for mean in (loss, right)
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        loss, right = add_up_gradients(self.net, [loss.detach(), right], self.ranks)
        if not self.config.sync_batch_norm:
            average_statistics(self.net, self.ranks)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.net, step=self.step)
        self.watch.note(
            {"train_loss": loss, "norm of the weights": norm(self.net.parameters())}, self.step,
            self.remedy,
        )  # fmt: skip
        self.totals += torch.stack([loss.double(), right])

    def epoch_means(self) -> dict[str, float]:
        """Means over the epoch that has just ended; the accuracy is that on the attacked images."""
        loss, right = (self.totals / self.steps_per_epoch).tolist()
        self.totals.zero_()
        name = "train_clean_acc" if self.attack is None else "train_robust_acc"
        return {"train_loss": loss, name: right}

    def measure(self) -> dict[str, float]:
        """Accuracy on the first test images, clean and under PGD; empty where none are wanted."""
        count = min(self.config.probe_images, len(self.data.test_y))
        if not count:
            return {}
        x, y = to_float(self.data.test_x[:count]), self.data.test_y[:count]
        probe = functools.partial(ATTACKS["pgd"], eps=self.eps, steps=10, trusted=True)
        found = evaluate(self.result.eval().fold(), x, y, probe, self.config.seed)
        return {"test_clean_acc": found.clean, "test_robust_acc": found.robust}

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, for `weights_only=True` loading."""
        return {
            "step": self.step,
            "totals": self.totals,
            "net": self.net.state_dict(),
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "batches": self.batches.state_dict(),
            "random": self.random.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, bit for bit on the same machine and threads."""
        self.step = state["step"]
        self.totals = state["totals"].to(self.device)
        for name in ("net", "optimiser", "schedule", "batches", "random"):
            getattr(self, name).load_state_dict(state[name])
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])


def _average(net: nn.Module, decay: float) -> Any:
    """A moving average of the weights, whose decay grows to this from 0."""
    from timm.utils import ModelEmaV3  # seconds, in every process that trains without one

    return ModelEmaV3(net, decay=decay, use_warmup=True)


def make_attack(config: TrainConfig, eps: float) -> Callable[..., Tensor] | None:
    """The attack of the training images with its settings; None for clean training."""
    if config.attack == "none":
        return None
    if config.attack == "pgd":
        step_size = eps / 4 if config.step_size is None else config.step_size
        settings: dict[str, Any] = {
            "eps": eps, "step_size": step_size, "steps": config.attack_steps,
        }  # fmt: skip
    else:
        settings = {"eps": eps, "step_size": config.step_size}
    return functools.partial(ATTACKS[config.attack], trusted=True, **settings)
