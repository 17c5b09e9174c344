"""The data set as the rest of the program sees it: uint8 tensors on the device."""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from supernet.data.splits import PixelArray, Source, Split, first_of_each_class
from supernet.errors import UserError

RGB = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class ImageData:
    """Images and labels on one device, and what training and attacking them needs to know."""

    name: str
    """As on the command line: digits, cifar10, folder:PATH."""
    train_x: Tensor
    """(N, 3, H, W) uint8."""
    train_y: Tensor
    """(N,) int64, 0 .. num_classes-1."""
    test_x: Tensor
    """(M, 3, H, W) uint8; M = 0 where test_limit=0 asked for none."""
    test_y: Tensor
    class_names: tuple[str, ...]
    mean: RGB
    """Per channel, in units of the pixel range [0, 1]; the network's first layer uses them."""
    std: RGB
    source: str
    """One sentence: which files, how many images, and what is not official about them."""
    stand_in: bool
    """True where the images only take the place of the data set that was asked for."""
    pad: int
    """Zero padding in pixels before the random crop."""
    flip: bool
    """Whether a mirrored image keeps its class."""
    eps: float
    """Default L-inf radius in the pixel range [0, 1]."""
    shrunk: int = 1
    """Factor by which the images are smaller than those of the data set."""

    @property
    def image_size(self) -> int:
        return int(self.train_x.shape[-1])

    @property
    def full_size(self) -> int:
        """Side of the data set's own images, which a network is trained alone with."""
        return self.image_size * self.shrunk

    def shrink(self, factor: int) -> "ImageData":
        """Each pixel the rounded mean of factor x factor; the padding shrinks with them.

        Raises: UserError where the side that remains is not a multiple of 4.
        """
        if factor == 1:
            return self
        if self.image_size % (4 * factor):
            raise UserError(
                f"shrink {factor} makes images of side {self.image_size / factor:g} from "
                f"{self.image_size}; networks here need a multiple of 4: give --shrink 1"
            )
        side = self.image_size // factor
        return dataclasses.replace(
            self, source=f"{self.source}; shrunk to {side}x{side}",
            train_x=_block_means(self.train_x, factor), test_x=_block_means(self.test_x, factor),
            pad=self.pad // factor, shrunk=self.shrunk * factor,
        )  # fmt: skip

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the pixels, labels and shapes, in hexadecimal: equal for the same images."""
        found = hashlib.sha256()
        for tensor in (self.train_x, self.train_y, self.test_x, self.test_y):
            found.update(repr(tuple(tensor.shape)).encode())
            found.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return found.hexdigest()

    def facts(self) -> dict[str, Any]:
        """What a run writes down of its images, and compares when it resumes."""
        return {
            "name": self.name,
            "source": self.source,
            "stand_in": self.stand_in,
            "num_classes": self.num_classes,
            "image_size": self.image_size,
            "train_images": len(self.train_y),
            "digest": self.digest,
        }


def build(
    name: str,
    source: Source,
    *,
    limit: int | None,
    test_limit: int | None,
    device: torch.device | str,
    pad: int,
    flip: bool,
    eps: float,
    mean: RGB | None = None,
    std: RGB | None = None,
) -> ImageData:
    """Read the wanted pixels and put them on the device.

    Without `mean` and `std` they are those of the training images that were read.

    Raises: UserError when training images are wanted (any limit but 0) and there are none.
    """
    if limit != 0 and not len(source.train.y):
        raise UserError(
            f"{source.origin} has no training images; give a data set that has some, or only"
            " evaluate on this one"
        )
    train = _limited(source.train, limit, "limit")
    test = _limited(source.test, test_limit, "test_limit")
    side_pixels = train.pixels()
    if mean is None or std is None:
        mean, std = _moments(side_pixels)
    empty = side_pixels[:0]
    return ImageData(
        name=name,
        train_x=_to_tensor(side_pixels).to(device),
        train_y=torch.from_numpy(train.y).to(device),
        test_x=_to_tensor(test.pixels() if len(test.y) else empty).to(device),
        test_y=torch.from_numpy(test.y).to(device),
        class_names=source.class_names,
        mean=mean,
        std=std,
        source=_sentence(source, train, test),
        stand_in=source.stand_in,
        pad=pad,
        flip=flip,
        eps=eps,
    )


def _block_means(x_NCHW: Tensor, factor: int) -> Tensor:
    # In parts: all images as floats would take four times their memory.
    parts = [F.avg_pool2d(part.float(), factor).round().byte() for part in x_NCHW.split(4096)]
    return torch.cat(parts)


def _limited(split: Split, limit: int | None, name: str) -> Split:
    if limit is None or limit >= len(split.y):
        return split
    if limit < 0:
        raise UserError(f"{name} is {limit}; give 0 or more, or leave it out for all images")
    return split.take(first_of_each_class(split.y, limit))


def _to_tensor(pixels_NHWC: PixelArray) -> Tensor:
    return torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).contiguous()


def _moments(pixels_NHWC: PixelArray) -> tuple[RGB, RGB]:
    if not len(pixels_NHWC):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    # By how often each value occurs: as numbers, all images would take eight times their memory.
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(pixels_NHWC), 1024):
        part = pixels_NHWC[start : start + 1024]
        for channel in range(3):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    moments = [_moments_of_counts(n) for n in counts]
    (red, red_std), (green, green_std), (blue, blue_std) = moments
    return (red, green, blue), (red_std, green_std, blue_std)


def _moments_of_counts(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    values, total = np.arange(256), counts.sum()
    mean = (counts @ values) / total
    std = np.sqrt(counts @ (values - mean) ** 2 / total)
    # A constant channel would divide by zero in the network's first layer.
    return float(mean / 255), max(float(std / 255), 1 / 255)


def _sentence(source: Source, train: Split, test: Split) -> str:
    text = source.found()
    used = [
        f"{len(some.y):,} {kind}"
        for some, every, kind in ((train, source.train, "training"), (test, source.test, "test"))
        if len(some.y) and len(some.y) < len(every.y)
    ]
    if used:
        text += f", used the first {' and '.join(used)} images, classes evenly"
    if train.num_lossy() or test.num_lossy():
        text += (
            f"; of those used {train.num_lossy()} and {test.num_lossy()} are not lossless"
            " (decoded from JPEG)"
        )
    return "; ".join(filter(None, (text, source.remark, source.seen())))
