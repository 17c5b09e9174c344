"""A folder of pictures that are drawn: shapes of random size, place and colour."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square", "triangle")
SIZE = (56, 44)


def write_shapes(folder: Path, counts: dict[str, int], seed: int = 0) -> None:
    """Write so many PNGs of each shape, one subfolder per shape."""
    random = np.random.RandomState(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            _draw(name, random).save(folder / name / f"{number:03}.png")


def _draw(name: str, random: np.random.RandomState) -> Image.Image:
    paper, ink = random.randint(120, 256, 3), random.randint(0, 110, 3)
    picture = Image.new("RGB", SIZE, tuple(map(int, paper)))
    pen, colour = ImageDraw.Draw(picture), tuple(map(int, ink))
    r = int(random.randint(9, 16))
    x, y = (int(random.randint(r + 6, side - r - 6)) for side in SIZE)
    if name == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif name == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    elif name == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    else:
        pen.line((x - r, y, x + r, y), fill=colour, width=r // 2)
        pen.line((x, y - r, x, y + r), fill=colour, width=r // 2)
    return picture
