"""The training images of a search: one half for the weights, one for alpha, never both."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from supernet.data import Batches, ImageData, augment, sent_to, split_halves, to_float
from supernet.distributed import ALONE, Ranks
from supernet.errors import UserError
from supernet.randomness import Randomness

GAIN_IMAGES = 9_600
"""Images of the alpha half that gains are taken on, or all where there are fewer."""
CALIBRATION_IMAGES = 256
"""Clean images of the weight half whose batch statistics a single cell is frozen with."""

Batch = tuple[Tensor, Tensor]
"""x (B, 3, H, W) float in [0, 1], channels-last, and y (B,)."""


class Halves:
    """Two disjoint halves with the classes alike in both, and endless batches of each; with
    `balance` the batches have the classes equally often.

    Of several processes each gets its part of every batch. batch_size counts all parts.
    Raises: UserError when a half is smaller than one batch, or a batch has too few images to share.
    """

    def __init__(
        self,
        data: ImageData,
        batch_size: int,
        random: Randomness,
        ranks: Ranks = ALONE,
        *,
        balance: bool = False,
    ) -> None:
        self.data, self.batch_size, self.random, self.ranks = data, batch_size, random, ranks
        count = len(data.train_y)
        self.weight_half, self.alpha_half = split_halves(count, data.train_y, random["split"])
        if min(len(self.weight_half), len(self.alpha_half)) < batch_size:
            raise UserError(
                f"{count} training images make halves of {len(self.alpha_half)}, fewer than "
                f"one batch of {batch_size}; lower --batch-size or raise --limit"
            )
        labels = data.train_y if balance else None
        self.weight_batches = Batches(self.weight_half, batch_size, random["weight_order"], labels)
        self.alpha_batches = Batches(self.alpha_half, batch_size, random["alpha_order"], labels)
        ranks.part(self.alpha_half[:batch_size])

    def next_weights(self) -> Batch:
        """The next batch of the weight half, augmented."""
        return self._augmented(next(self.weight_batches))

    def next_alpha(self) -> Batch:
        """The next batch of the alpha half, augmented."""
        return self._augmented(next(self.alpha_batches))

    def held_out(self, count: int) -> Batch:
        """`count` images of the alpha half, the same at every call, as they are."""
        return self.images_at(spaced(self.alpha_half, count))

    def calibration(self) -> Tensor:
        """Images of the weight half whose statistics batch norm is frozen with."""
        return self.images_at(spaced(self.weight_half, CALIBRATION_IMAGES))[0]

    def for_gains(self, seed: int) -> Iterator[Batch]:
        """The images and labels of `gain_batches`, as they are."""
        return map(self.images_at, self.gain_batches(seed))

    def gain_batches(self, seed: int) -> Sequence[Tensor]:
        """The first GAIN_IMAGES of a seeded shuffle of the alpha half by number, in batches.

        What is left of a whole number of batches is left out, unless there is but one. Of several
        processes each gets its part of every batch.
        """
        shuffled = torch.randperm(
            len(self.alpha_half), generator=torch.Generator().manual_seed(seed)
        )
        batches = self.alpha_half[shuffled[:GAIN_IMAGES]].split(self.batch_size)
        if len(batches) > 1 and len(batches[-1]) < len(batches[0]):
            batches = batches[:-1]
        return [*map(self.ranks.part, batches)]

    def as_split(self, count: int) -> ImageData:
        """The images divided for cells that are trained alone: the weight half as `train`, and as
        `test` the `count` images of the alpha half that `held_out` gives."""
        x, y, device = self.data.train_x, self.data.train_y, self.data.train_x.device
        learn, held_out = self.weight_half.to(device), spaced(self.alpha_half, count).to(device)
        return dataclasses.replace(
            self.data, train_x=x[learn], train_y=y[learn], test_x=x[held_out], test_y=y[held_out]
        )

    def images_at(self, index: Tensor) -> Batch:
        """Training images by number, as they are, and their labels."""
        index = sent_to(self.data.train_x.device, index)
        return _laid_out(to_float(self.data.train_x[index])), self.data.train_y[index]

    def state_dict(self) -> dict[str, Any]:
        """The order of both halves and the place in it."""
        return {
            "weight_batches": self.weight_batches.state_dict(),
            "alpha_batches": self.alpha_batches.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.weight_batches.load_state_dict(state["weight_batches"])
        self.alpha_batches.load_state_dict(state["alpha_batches"])

    def _augmented(self, index: Tensor) -> Batch:
        data = self.data
        index = sent_to(data.train_x.device, self.ranks.part(index))
        x = augment(data.train_x[index], self.random["augment"], data.pad, data.flip)
        return _laid_out(x), data.train_y[index]


def spaced(half: Tensor, count: int) -> Tensor:
    """`count` of these image numbers, or all, evenly spaced: files are often sorted by class."""
    count = min(count, len(half))
    return half[torch.arange(count) * len(half) // count]


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
