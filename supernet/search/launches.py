"""What one step of a search asks of a GPU, part by part, counted without a GPU."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import torch

from ops.mixed import Ops
from ops.rehearsal import DEVICE, Counts, rehearsal
from supernet.attacks import ATTACKS
from supernet.attacks.common import input_gradient
from supernet.data import ImageData
from supernet.finite import Watch, norm
from supernet.nets.folded import FoldedNetwork
from supernet.nets.supernet import Supernet
from supernet.randomness import Randomness
from supernet.search.alpha import Alpha
from supernet.search.config import SearchConfig
from supernet.search.halves import Batch, Halves
from supernet.search.objectives import make_objective
from supernet.search.step_attack import StepAttack
from supernet.search.strategies import make_strategy
from supernet.search.weights import Weights

SAMPLED: Ops = (3, 1, 2, 3, 1, 4)
"""A single cell with every operator but `none`."""


PARTS = (
    "batch", "watch", "fold", "attack", "attack gradient", "alpha step", "weight step", "cell fold",
    "cell gradient", "cell step", "alpha region", "weight region", "clean region",
)  # fmt: skip
REGIONS = PARTS[-3:]
"""Those that a GPU launches as one CUDA graph each."""


def count_launches(
    config: SearchConfig, *, num_classes: int = 10, side: int = 32, parts: Sequence[str] = PARTS
) -> dict[str, Counts]:
    """Launches, operators that launch, and waits of the host, by part of a step.

    batch            images of the weight half, cropped and mirrored
    watch            a look for numbers that are not finite, after the weights' step
    fold             the mixture, folded for an attack in its arithmetic
    attack           all steps of the configured attack on the folded mixture, without the fold
    attack gradient  one gradient to the images
    alpha step       a pass for each loss that alpha follows, on images that are there, and Adam
    weight step      a pass, clipping and SGD, on images that are there
    cell fold        a sampled cell, folded with the statistics of a batch
    cell gradient    one gradient of that to the images
    cell step        a pass of the sampled cell, clipping and SGD
    alpha region     fold, attack, and the passes to the edge weights
    weight region    fold, attack, pass, clipping and SGD
    clean region     pass, clipping and SGD, as before the warm-up is over

    Optimisers have their state before a step is counted.
    Raises: ops.rehearsal.HostWait where a part reads a value back.
    """
    found: dict[str, Counts] = {}
    with rehearsal() as on_gpu:
        step = _Step(config, num_classes, side)
        for name in parts:
            part = step.part(name)
            if name.endswith(("step", "region")):
                part()
            with on_gpu.part() as found[name]:
                part()
    return found


class _Step:
    def __init__(self, config: SearchConfig, num_classes: int, side: int) -> None:
        net = Supernet(C=config.C, N=config.N, num_classes=num_classes, impl=config.impl)
        self.net = net.use_layout(torch.channels_last).to(DEVICE).train()
        self.strategy = make_strategy(config.strategy).to(DEVICE)
        x = torch.rand(config.batch_size, 3, side, side, device=DEVICE)
        x = x.contiguous(memory_format=torch.channels_last)
        self.batch: Batch = (x, torch.zeros(len(x), dtype=torch.long, device=DEVICE))
        images = _images(2 * config.batch_size, num_classes, side)
        cpu = torch.device("cpu")
        self.halves = Halves(images, config.batch_size, Randomness(config.seed, cpu))
        self.halves.data = dataclasses.replace(
            images, train_x=images.train_x.to(DEVICE), train_y=images.train_y.to(DEVICE)
        )
        self.watch = Watch(DEVICE)
        # Automatic is bfloat16 on the GPUs of today.
        name = "bfloat16" if config.attack_dtype == "auto" else config.attack_dtype
        self.dtype = getattr(torch, name)
        run = functools.partial(
            ATTACKS[config.attack], eps=8 / 255, trusted=True,
            steps=config.attack_steps if config.attack == "pgd" else 1,
        )  # fmt: skip
        self.attack = StepAttack(run, None, self.dtype)
        objective = make_objective(config.objective, config.alpha_follows, config.robust_weight)
        self.alpha = Alpha(self.net, self.strategy, objective, config)
        settings = (self.net, self.strategy, config, 100, torch.Generator())
        self.weights, self.cell = Weights(*settings), _OneCell(*settings)

    def part(self, name: str) -> Callable[[], object]:
        """What is counted under this name, ready to run."""
        part, x, y = functools.partial, *self.batch
        if name in REGIONS:
            w_EO = self.strategy.edge_weights().detach()
            inputs = (x, y, w_EO)
            if name == "clean region":
                return part(self.weights.mixture_step, None, *inputs)
            body = self.alpha.at_edges if name == "alpha region" else self.weights.mixture_step
            return part(body, self.attack, *inputs, self.attack.draw(x))
        if name == "batch":
            return self.halves.next_weights
        if name == "watch":
            return self._watch
        if name == "fold":
            return self._fold
        if name == "cell fold":
            return self._fold_cell
        if name == "alpha step":
            return self._alpha_step
        if name.endswith("step"):
            weights = self.cell if name == "cell step" else self.weights
            return part(weights.step, self.batch, None, single_cells=weights is self.cell)
        folded = self._fold_cell() if name == "cell gradient" else self._fold()
        if name == "attack":
            return part(self.attack.run, folded, *self.batch)
        return part(input_gradient, folded, *self.batch, "ce")

    def _fold(self) -> FoldedNetwork:
        return self.net.fold_mixture(self.strategy.edge_weights().detach()).to(self.dtype)

    def _fold_cell(self) -> FoldedNetwork:
        return self.net.fold_cell(SAMPLED, x=self.batch[0]).to(self.dtype)

    def _watch(self) -> None:
        self.watch.note({"norm of the weights": norm(self.net.parameters())}, 1, "")

    def _alpha_step(self) -> None:
        # The attacked images are those of the batch: attacks are counted on their own.
        there = StepAttack(lambda model, x, y, drawn: x, None)
        self.alpha.step(self.batch, self.batch, there, self.weights.upcoming(), progress=0.5)


def _images(count: int, num_classes: int, side: int) -> ImageData:
    x, y = torch.zeros(count, 3, side, side, dtype=torch.uint8), torch.zeros(count).long()
    return ImageData(
        name="none", train_x=x, train_y=y, test_x=x[:0], test_y=y[:0],
        class_names=tuple(map(str, range(num_classes))), mean=(0.0,) * 3, std=(1.0,) * 3,
        source="", stand_in=False, pad=4, flip=True, eps=8 / 255,
    )  # fmt: skip


class _OneCell(Weights):
    """Every step trains the sampled cell alone."""

    def trained(self, single_cells: bool) -> tuple[list[torch.Tensor], list[Ops]]:
        return [], [SAMPLED]
