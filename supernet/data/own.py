"""What a folder or a pack of one's own pictures holds, before any of them is decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supernet.data.folder import read_folder
from supernet.data.packs import read_packs
from supernet.files import at_home

ANY_SIDE = 16
"""Pixels are not read here, so any side does that the networks can halve."""


@dataclass(frozen=True)
class OwnImages:
    """Pictures in classes, counted."""

    counts: tuple[int, ...]
    """Training images of each class."""
    held_out: int
    """Test images."""
    shorter_side: int | None
    """The median shorter side of the training pictures in pixels; None for a pack."""

    @property
    def images(self) -> int:
        return sum(self.counts)

    @property
    def classes(self) -> int:
        return len(self.counts)

    @property
    def imbalance(self) -> float:
        """How many images the largest class has for one of the smallest."""
        return max(self.counts) / max(1, min(self.counts))


def look(dataset: str, val: str | Path | None = None) -> OwnImages | None:
    """Counts the images of folder:PATH or pack:FILE; None for any other data set.

    Raises: UserError as `load_dataset` does, where the folder or the pack is not one.
    """
    kind, _, path = dataset.partition(":")
    if kind not in ("folder", "pack") or not path:
        return None
    source = (
        read_folder(path, ANY_SIDE, 0, val) if kind == "folder"
        else read_packs([at_home(path)])
    )  # fmt: skip
    counts = np.bincount(source.train.y, minlength=len(source.class_names))
    return OwnImages(tuple(counts.tolist()), len(source.test.y), source.shorter_side())
