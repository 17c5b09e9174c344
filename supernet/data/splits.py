"""Splits are decoded late: labels first, pixels only for the images that are wanted.

A pack of 25,000 images takes seconds to decode, so `limit` must act before the decoding does.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supernet.errors import UserError

IndexArray = npt.NDArray[np.int64]
LabelArray = npt.NDArray[np.int64]
PixelArray = npt.NDArray[np.uint8]
"""(N, H, W, 3), the layout of every publisher and of Pillow."""


@dataclass(frozen=True)
class Split:
    """Labels, and a function that reads the pixels of the given images."""

    y: LabelArray
    read: Callable[[IndexArray], PixelArray]
    lossy: npt.NDArray[np.bool_] | None = None
    """Which images are not the publisher's pixels, where the source says so."""

    def take(self, index: IndexArray) -> "Split":
        """The split of these images only; nothing is read yet."""
        lossy = None if self.lossy is None else self.lossy[index]
        return Split(self.y[index], lambda inner: self.read(index[inner]), lossy)

    def pixels(self) -> PixelArray:
        return self.read(np.arange(len(self.y)))

    def num_lossy(self) -> int:
        return 0 if self.lossy is None else int(self.lossy.sum())


@dataclass(frozen=True)
class Source:
    """What a reader found: two splits, the names of the classes and where they came from."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    origin: str
    """Which files, for people: "the packs cifar10-a.npz and cifar10-b.npz"."""
    remark: str = ""
    """What else must be known of them, for instance that the split is not the official one."""
    stand_in: bool = False
    seen: Callable[[], str] = str
    """What the pixels that were read have shown: "pictures with transparent parts: 3"."""
    shorter_side: Callable[[], int | None] = lambda: None
    """Of the training pictures as they lie there, in pixels: the median of the shorter sides. None
    where all images have one size, or none can be read."""

    def found(self) -> str:
        """Which files, and how many images of each split."""
        counts = f"{len(self.train.y):,} training and {len(self.test.y):,} test images"
        return f"{self.origin}: found {counts}"


def in_memory(x: PixelArray, y: Sequence[int] | LabelArray) -> Split:
    """A split whose pixels are at hand already."""
    return Split(np.asarray(y, dtype=np.int64), lambda index: x[index])


def join(parts: Sequence[Split]) -> Split:
    """One split out of several, in their order."""
    starts = np.cumsum([0] + [len(part.y) for part in parts])

    def read(index: IndexArray) -> PixelArray:
        owner = np.searchsorted(starts, index, side="right") - 1
        pixels: PixelArray | None = None
        for number, part in enumerate(parts):
            mine = owner == number
            if not mine.any():
                continue
            some = part.read(index[mine] - starts[number])
            if pixels is None:
                pixels = np.empty((len(index), *some.shape[1:]), np.uint8)
            pixels[mine] = some
        return parts[0].read(index) if pixels is None else pixels

    lossy = [np.zeros(len(p.y), bool) if p.lossy is None else p.lossy for p in parts]
    return Split(np.concatenate([part.y for part in parts]), read, np.concatenate(lossy))


def rank_in_class(y: LabelArray) -> IndexArray:
    """For each image, how many images of its class stand before it."""
    order = np.argsort(y, kind="stable")
    counts = np.bincount(y)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(y), np.int64)
    rank[order] = np.arange(len(y)) - starts[y[order]]
    return rank


def first_of_each_class(y: LabelArray, limit: int) -> IndexArray:
    """The first `limit` images with the classes as even as they can be, in their old order."""
    return np.sort(np.argsort(rank_in_class(y), kind="stable")[:limit])


def stratified_test(y: LabelArray, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Marks `fraction` of each class (rounded, at least one) as test images.

    RandomState and not Generator: numpy promises that its stream never changes, and the test
    images of a search must be those of the training that follows it, whatever numpy is installed.
    """
    shuffled = np.random.RandomState(seed).permutation(len(y))
    rank = np.empty(len(y), np.int64)
    rank[shuffled] = rank_in_class(y[shuffled])
    share = np.maximum(1, np.round(fraction * np.bincount(y)))
    return np.asarray(rank < share[y])


def check_side(what: str, side: int, remedy: str) -> None:
    """Raise a UserError unless the networks can halve this image side twice.

    Where they reduce, a stride-2 convolution rounds up and the 2x2 pool next to it rounds down: 5
    pixels become 3 and 2, which cannot be added, and 6 become 3, then 2 and 1, which would be
    added, each value of the small map to all four of the other.

    what: the beginning of the sentence, up to "squares of".
    remedy: its end, before the nearest side that fits.
    """
    if side < 4 or side % 4:
        fits = max(4, 4 * -(-side // 4))
        raise UserError(
            f"{what} squares of {side} pixels, not a multiple of 4, and the networks halve them"
            f" twice; {remedy} {fits}"
        )


def check_memory(count: int, side: int) -> None:
    """Raise a UserError unless the machine can hold so many images of this side.

    They are held twice at a time, as the reader's array and as the tensor made of it.
    """
    needed, there = 2 * 3 * count * side**2, machine_memory()
    if needed > there:
        raise UserError(
            f"{count:,} images of {side}x{side} pixels take {needed / 1e9:,.1f} GB and this machine"
            f" has {there / 1e9:,.1f} GB; give a smaller --side, or fewer images with --limit"
        )


def machine_memory() -> int:
    """The bytes of the machine's memory, whether or not they are free."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
