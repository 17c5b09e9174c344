"""Folders of pictures to read, of noise that is the same every time."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_noise(folder: Path, each: int) -> None:
    """Write the classes `ant` and `bee` with `each` 8x8 PNGs."""
    random = np.random.RandomState(0)
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = random.randint(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
