"""Minibatches on the device: augmentation, disjoint halves, and an order that can be resumed."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def sent_to(device: torch.device, t: Tensor) -> Tensor:
    """A tensor of the host's memory on the device; the host does not wait for a GPU that copies it.

    Shapes: any.
    """
    if device.type == "cuda" and not t.is_cuda:
        t = t.pin_memory()  # of pageable memory the host makes a copy first, and waits
    return t.to(device, non_blocking=True)


def to_float(x_uint8: Tensor) -> Tensor:
    """Pixels 0..255 -> float32 in [0, 1]. Shapes: any."""
    return x_uint8.to(torch.float32).div_(255)


def augment(x_uint8: Tensor, generator: torch.Generator, pad: int, flip: bool) -> Tensor:
    """Random crop after zero padding, and a random mirror image, all images at once.

    Each image is moved by a whole number of pixels, uniform in -pad..pad per direction, what
    leaves the frame is lost and what enters is zero; then it is mirrored with probability 1/2.

    Shapes: x (B, 3, H, W) uint8 -> (B, 3, H, W) float32 in [0, 1], contiguous.
    Units:  pad in pixels.
    The numbers are drawn on the generator's device, so that a generator on the CPU gives the same
    crops whatever the device of the images.
    """
    if not pad and not flip:
        return to_float(x_uint8)
    batch, channels, height, width = x_uint8.shape
    offset_2B = sent_to(x_uint8.device, _draw(2 * pad + 1, (2, batch), generator))
    mirror_B = sent_to(x_uint8.device, _draw(2 if flip else 1, (batch,), generator))
    rows_H = torch.arange(height, device=x_uint8.device)
    columns_W = torch.arange(width, device=x_uint8.device)
    columns_BW = torch.where(mirror_B[:, None] == 1, columns_W.flip(0), columns_W)
    rows_BH = rows_H + offset_2B[0, :, None]
    columns_BW = columns_BW + offset_2B[1, :, None]
    padded_width = width + 2 * pad
    flat_BP = (rows_BH[:, :, None] * padded_width + columns_BW[:, None, :]).view(batch, 1, -1)
    padded = F.pad(x_uint8, (pad, pad, pad, pad)).view(batch, channels, -1)
    moved = padded.gather(2, flat_BP.expand(batch, channels, -1))
    return to_float(moved.view(batch, channels, height, width))


def _draw(high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, high, shape, generator=generator, device=generator.device)


def split_halves(n: int, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two disjoint halves of 0..n-1 with the classes alike in both: for weights and for alpha.

    Each class is divided evenly, a class of odd size by one image less in one of them, and the
    halves differ by one image at most.

    Shapes: y (n,) -> two sorted index vectors int64 on the CPU.
    """
    if len(y) != n:
        raise ValueError(f"y has {len(y)} labels for {n} images")
    shuffled = torch.randperm(n, generator=generator)
    by_class = shuffled[torch.argsort(y.cpu()[shuffled], stable=True)]
    return by_class[0::2].sort().values, by_class[1::2].sort().values


def even_order(y: Tensor, generator: torch.Generator) -> Tensor:
    """Positions in y, as many as there are, in which the classes come equally often, shuffled.

    Of n images and K classes each class has n // K places or one more, drawn by the generator.
    Images of a rare class come several times, and none a second time before all of its class came
    once; of a frequent class some do not come.

    Shapes: y (n,) on the CPU -> (n,) int64.
    """
    classes = y.unique()
    quotas = torch.full((len(classes),), len(y) // len(classes))
    quotas[torch.randperm(len(classes), generator=generator)[: len(y) % len(classes)]] += 1
    parts = []
    for label, quota in zip(classes, quotas.tolist(), strict=True):
        members = (y == label).nonzero().flatten()
        rounds = -(-quota // len(members))
        drawn = [members[torch.randperm(len(members), generator=generator)] for _ in range(rounds)]
        parts += [torch.cat(drawn)[:quota]] if drawn else []
    return torch.cat(parts)[torch.randperm(len(y), generator=generator)]


class Batches:
    """Index batches in a new random order each epoch; the last images of an epoch that fill no
    batch are left out.

    `for index in batches` gives what is left of the current epoch, or the next epoch when nothing
    is; `next(batches)` never ends. Both move the same position, and `state_dict` holds it, so that
    a restored object gives the batches that the first one would have given.

    labels: of all images, where each epoch is to hold the classes equally often (`even_order`);
        None takes every image once.
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> None:
        if not 0 < batch_size <= len(indices):
            raise ValueError(
                f"a batch of {batch_size} cannot be taken from {len(indices)} images;"
                " lower the batch size or raise the limit"
            )
        self.indices = indices
        self.batch_size = batch_size
        self.generator = generator
        self._labels = None if labels is None else labels.cpu()[indices.cpu()]
        self._order: Tensor | None = None
        self._position = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.indices) // self.batch_size

    def __next__(self) -> Tensor:
        if self._order is None or self._position == len(self):
            self._order = self._next_order()
            self._position = 0
        start = self._position * self.batch_size
        self._position += 1
        batch = self._order[start : start + self.batch_size]
        return self.indices[batch.to(self.indices.device)]

    def __iter__(self) -> Iterator[Tensor]:
        yield next(self)
        while self._position < len(self):
            yield next(self)

    def _next_order(self) -> Tensor:
        if self._labels is None:
            return torch.randperm(len(self.indices), generator=self.generator)
        return even_order(self._labels, self.generator)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers only: loads with `weights_only=True`."""
        return {
            "order": None if self._order is None else self._order.clone(),
            "position": self._position,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the order, the position in it and the generator.

        Raises: ValueError when the state belongs to another number of images, or when its order
                or position is none of theirs.
        """
        order, position = state["order"], int(state["position"])
        if order is not None and (order.ndim != 1 or order.dtype != torch.int64):
            raise ValueError("the saved order is not a list of whole numbers")
        if order is not None and len(order) != len(self.indices):
            raise ValueError(
                f"the saved order is of {len(order)} images, these are {len(self.indices)};"
                " resume with the same data and limit"
            )
        numbers = torch.arange(len(self.indices))
        if order is not None and self._labels is not None:
            if not bool(((order >= 0) & (order < len(numbers))).all()):
                raise ValueError(f"the saved order holds more than 0 to {len(numbers) - 1}")
        elif order is not None and not torch.equal(order.cpu().sort().values, numbers):
            raise ValueError(f"the saved order does not hold 0 to {len(numbers) - 1} once each")
        if not 0 <= position <= len(self):
            raise ValueError(f"the saved position is {position}, an epoch has {len(self)} batches")
        self._order = None if order is None else order.clone().cpu()
        self._position = position
        self.generator.set_state(state["generator"].cpu())
