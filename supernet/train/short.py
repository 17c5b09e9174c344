"""One short stand-alone training of a cell, and how well it then does on held-out images.

After a hundred steps the networks of different cells differ by what slows training down. At the
benchmark's depth this tells apart cells that a network of one cell a stage cannot (a skip past
the cell lets fifteen cells train). Small cells learn fastest, so that their losses may be compared
with those of cells of like size only.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from supernet.attacks import ATTACKS
from supernet.attacks.accuracy import WORST_LOSS, Attack, evaluate, surviving_share
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, to_float
from supernet.data.batches import even_order
from supernet.finite import Diverged
from supernet.nets.derived import DerivedNetwork
from supernet.train.config import TrainConfig
from supernet.train.training import Training

LR = 0.1
"""Peak of the one-cycle schedule, as in the benchmark's recipe."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a cell is trained and measured; the same for all cells that are compared."""

    steps: int
    """Steps of SGD; rounded to whole epochs where the images are fewer than steps x batch size."""
    attack: str = "none"
    """Attack of the training images, as in TrainConfig; with one, the measurement is attacked."""
    batch_size: int = 64
    C: int = 16
    N: int = 5
    attack_steps: int = 7
    """Steps where the attack is pgd."""
    balance: bool = False
    """Whether the training has the classes equally often, and they count equally in the outcome."""
    pgd_steps: int = 10
    """Steps of the PGD that measures after an attacked training."""
    attack_all: bool = True
    """Whether that PGD gets every image, which robust_loss needs. Without it images that are wrong
    already get none and count as wrong, as in an evaluation: accuracy alone, in a fraction of the
    time."""


@dataclass(frozen=True)
class Outcome:
    """What a short training came to. Losses are mean cross-entropies in nats."""

    loss: float
    """On the held-out images; 1,000 after a training that diverged, so that it loses."""
    acc: float
    robust_loss: float | None
    """Under PGD; None after a clean training, and where not all images were attacked."""
    robust_acc: float | None
    train_loss: float
    """The mean over the training's steps (on attacked images in an attacked training)."""
    seconds: float
    """CPU seconds of the process on a CPU, wall-clock on a GPU."""

    @property
    def judged(self) -> float:
        """The loss that cells are compared by: under attack where there is one, else clean."""
        return self.loss if self.robust_loss is None else self.robust_loss


def train_briefly(
    cell: Genotype,
    data: ImageData,
    recipe: Recipe,
    seed: int,
    prepare: Callable[[DerivedNetwork], None] | None = None,
) -> Outcome:
    """Train the cell's own network on data.train and measure it on data.test.

    prepare: called with the network before its first step; it may give it other weights.
    Everything random comes from the seed, the torch generators of the caller are left alone: the
    outcome depends on the arguments alone (and on the machine's arithmetic).
    Raises: UserError when there are fewer images than one batch.
    """
    clock = time.perf_counter if data.train_x.is_cuda else time.process_time
    began = clock()
    devices = [data.train_x.device] if data.train_x.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        training = Training(*_job(cell, data, recipe, seed), data.train_x.device)
        if prepare is not None:
            prepare(training.net)
        try:
            while training.step < training.total_steps:
                training.train_step()
        except Diverged:
            return _lost(recipe, clock() - began)
        train_loss = float(training.totals[0]) / training.total_steps
        network, x, y = training.net.eval().fold(), to_float(data.test_x), data.test_y
        if recipe.balance:
            even = even_order(y.cpu(), torch.Generator().manual_seed(0)).to(y.device)
            x, y = x[even], y[even]
        probe: Attack | None = None
        if recipe.attack != "none":
            probe = functools.partial(
                ATTACKS["pgd"], eps=training.eps, steps=recipe.pgd_steps, trusted=True
            )
        found = evaluate(network, x, y, probe if recipe.attack_all else None, seed)
        robust_loss, robust_acc = (found.robust_loss, found.robust) if probe else (None, None)
        if probe is not None and not recipe.attack_all:
            robust_loss, robust_acc = None, surviving_share(network, x, y, probe, seed)
    return Outcome(
        loss=found.clean_loss,
        acc=found.clean,
        robust_loss=robust_loss,
        robust_acc=robust_acc,
        train_loss=train_loss,
        seconds=clock() - began,
    )


def _lost(recipe: Recipe, seconds: float) -> Outcome:
    """The outcome of a training that diverged: no image is right."""
    attacked = recipe.attack != "none"
    return Outcome(
        loss=WORST_LOSS,
        acc=0.0,
        robust_loss=WORST_LOSS if attacked and recipe.attack_all else None,
        robust_acc=0.0 if attacked else None,
        train_loss=WORST_LOSS,
        seconds=seconds,
    )


def _job(
    cell: Genotype, data: ImageData, recipe: Recipe, seed: int
) -> tuple[TrainConfig, Genotype, ImageData]:
    """The training of about recipe.steps steps: whole epochs over a seeded draw of the images."""
    batch = min(recipe.batch_size, len(data.train_y))
    steps = min(recipe.steps, len(data.train_y) // batch)
    order = torch.randperm(len(data.train_y), generator=torch.Generator().manual_seed(seed))
    index = order[: steps * batch].to(data.train_y.device)
    config = TrainConfig(
        genotype=cell.code, dataset=data.name, C=recipe.C, N=recipe.N, batch_size=batch, lr=LR,
        epochs=max(1, round(recipe.steps / steps)), attack=recipe.attack,
        attack_steps=recipe.attack_steps, eps=data.eps, probe_images=0, seed=seed,
        balance=recipe.balance,
    )  # fmt: skip
    some = dataclasses.replace(data, train_x=data.train_x[index], train_y=data.train_y[index])
    return config, cell, some
