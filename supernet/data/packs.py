"""Packs: lossless WebP contact sheets of a data set in one plain .npz.

Keys: `side`, `class_names`, `note`; per split `<split>_n`, `<split>_y` and the sheets
`<split>_webp_000`, `_001`, ..., each the bytes of one WebP picture with 40 images in a row and,
but for the last, the same number of rows; optional `<split>_lossless` marks exact images.
A pack of CIFAR is a third smaller than the publisher's archive and holds no pickles.
"""

import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from supernet.data.npz import DAMAGE, GROWTH, PlainArchive
from supernet.data.splits import (
    IndexArray,
    LabelArray,
    PixelArray,
    Source,
    Split,
    check_side,
    join,
)
from supernet.errors import UserError
from supernet.invocation import named
from supernet.progress import with_progress
from supernet.threads import available_cpus

COLUMNS = 40
ROWS = 25
"""1,000 images a sheet: 40 * 32 by 25 * 32 pixels, about 2 MB and 60 ms to decode.
Large images have fewer rows on a sheet."""
MOST_SIDE = 408
"""40 images of this side are as wide as a WebP picture can be."""
MOST_CLASSES = 65_536
MOST_PIXELS = 80_000_000
"""Of one sheet: below Pillow's own limit, and 240 MB when decoded."""
ALWAYS_PIXELS = 64 << 20
"""Bytes of pixels that a pack may hold however short it is."""


def read_packs(paths: Sequence[Path], remark: str = "", stand_in: bool = False) -> Source:
    """The splits of one pack, or of several parts of one data set in order.

    Raises: UserError naming the file when a pack is damaged, holds nothing a network can learn
            from (no images, one class, a side that is not a multiple of 4), or its parts do not
            fit together.
    """
    headers = [_Header(path) for path in paths]
    first = headers[0]
    check_side(f"{first.path} holds", first.side, _remedy())
    if len(first.class_names) < 2:
        raise UserError(
            f"{first.path} has one class ({', '.join(first.class_names)}); a network needs at least"
            f" two classes, one per subfolder that {named('data pack')} reads"
        )
    for header in headers[1:]:
        if header.class_names != first.class_names or header.side != first.side:
            raise UserError(
                f"{header.path} and {first.path} are not parts of one data set (their classes or"
                " sides differ); keep only the packs that belong together"
            )
    names = [path.name for path in paths]
    origin = f"the pack {names[0]}" if len(names) == 1 else f"the packs {' and '.join(names)}"
    train, test = (join([header.split(name) for header in headers]) for name in ("train", "test"))
    if not len(train.y) + len(test.y):
        raise UserError(f"{first.path} holds no images; make it again with {named('data pack')}")
    return Source(
        train=train,
        test=test,
        class_names=first.class_names,
        origin=origin,
        remark=remark,
        stand_in=stand_in,
    )


def write_pack(
    path: str | Path,
    splits: Mapping[str, tuple[PixelArray, LabelArray]],
    class_names: Sequence[str],
    note: str,
    progress: Callable[[int], object] = lambda done: None,
) -> None:
    """Write a pack, read it back and compare every pixel before it takes its name.

    progress: called with the number of images after each sheet.
    Raises: UserError when there are no images, or they are not square, or their side is not a
            multiple of 4; RuntimeError when the read-back differs.
    """
    x = next(iter(splits.values()))[0]
    if x.ndim != 4 or x.shape[1] != x.shape[2] or x.shape[3] != 3:
        raise UserError(f"a pack holds square RGB images, not an array of shape {x.shape}")
    check_side(f"{path} would hold", x.shape[1], _remedy())
    if x.shape[1] > MOST_SIDE:
        raise UserError(
            f"{path} would hold images of {x.shape[1]} pixels; a pack holds up to {MOST_SIDE}:"
            f" give --side {MOST_SIDE} or less"
        )
    if not any(len(y) for _, y in splits.values()):
        raise UserError(f"{path} would hold no images; give it at least one")
    entries: dict[str, Any] = {
        "side": np.int64(x.shape[1]),
        "class_names": np.array(class_names),
        "note": np.array(note),
    }
    for name, (pixels, y) in splits.items():
        entries |= _split_entries(name, pixels, y, len(class_names), progress)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not atomic_write: the file must be closed and read back by name before it takes its place.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    try:
        np.savez(temporary, **entries)
        _verify(temporary, splits)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _split_entries(
    name: str, pixels: PixelArray, y: LabelArray, classes: int, progress: Callable[[int], object]
) -> dict[str, Any]:
    rows = min(ROWS, MOST_PIXELS // 2 // (COLUMNS * pixels.shape[1] ** 2))
    per = COLUMNS * rows
    entries: dict[str, Any] = {}
    chunks = [pixels[start : start + per] for start in range(0, len(pixels), per)]
    with ThreadPoolExecutor(available_cpus()) as pool:
        for number, raw in enumerate(pool.map(_encode, chunks)):
            entries[f"{name}_webp_{number:03d}"] = np.frombuffer(raw, np.uint8)
            progress(len(chunks[number]))
    entries[f"{name}_y"] = np.asarray(y).astype(np.uint8 if classes <= 256 else np.uint16)
    entries[f"{name}_n"] = np.int64(len(pixels))
    return entries


def _verify(path: Path, splits: Mapping[str, tuple[PixelArray, LabelArray]]) -> None:
    header = _Header(path)
    for name, (pixels, y) in splits.items():
        read = header.split(name)
        if not (np.array_equal(read.pixels(), pixels) and np.array_equal(read.y, y)):
            raise RuntimeError(f"the pack's {name} split does not read back as it was written")


def _encode(pixels: PixelArray) -> bytes:
    side, count = pixels.shape[1], len(pixels)
    rows = -(-count // COLUMNS)
    grid = np.zeros((rows * COLUMNS, side, side, 3), np.uint8)
    grid[:count] = pixels
    sheet = grid.reshape(rows, COLUMNS, side, side, 3).swapaxes(1, 2)
    stream = io.BytesIO()
    # `exact` keeps the colour of transparent pixels; there are none, but it costs nothing.
    Image.fromarray(sheet.reshape(rows * side, COLUMNS * side, 3)).save(
        stream, "WEBP", lossless=True, quality=100, method=6, exact=True
    )
    return stream.getvalue()


def _size(raw: bytes, side: int) -> tuple[int, int]:
    """(rows, columns) of images on a sheet; nothing is decoded."""
    with Image.open(io.BytesIO(raw), formats=("WEBP",)) as picture:
        width, height = picture.size
    if width % side or height % side or not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"a sheet of {width} x {height} pixels does not hold squares of {side}")
    return height // side, width // side


def _decode(raw: bytes, side: int) -> PixelArray:
    rows, columns = _size(raw, side)
    with Image.open(io.BytesIO(raw), formats=("WEBP",)) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    tiles = sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, side, side, 3)


class _Header:
    """What a pack says of itself; sheets are read when a split's pixels are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with PlainArchive(path) as archive:
                self.side = int(archive.array("side", "iu", 0))
                self.class_names = tuple(archive.array("class_names", "U", 1).tolist())
                self._keys = archive.keys
        except DAMAGE as error:
            raise self._damaged(error) from error
        if self.side > MOST_SIDE or len(self.class_names) > MOST_CLASSES:
            raise self._damaged(f"side {self.side} and {len(self.class_names):,} classes")

    def split(self, name: str) -> Split:
        """The labels of a split, checked, and a function that reads its pixels."""
        try:
            with PlainArchive(self.path) as archive:
                count = int(archive.array(f"{name}_n", "iu", 0))
                y = archive.array(f"{name}_y", "iu", 1)
                key = f"{name}_lossless"
                lossless = archive.array(key, "bu", 1) if key in archive.keys else None
        except DAMAGE as error:
            raise self._damaged(error) from error
        if len(y) != count or (count and not 0 <= y.min() <= y.max() < len(self.class_names)):
            raise self._damaged(f"the labels of {name} do not fit its {count} images")
        if lossless is not None and len(lossless) != count:
            raise self._damaged(f"{name}_lossless does not fit its {count} images")
        return Split(
            y.astype(np.int64),
            lambda index: self._read(name, count, index),
            None if lossless is None else ~lossless.astype(bool),
        )

    def _read(self, name: str, count: int, index: IndexArray) -> PixelArray:
        if not len(index):
            return np.empty((0, self.side, self.side, 3), np.uint8)
        try:
            with PlainArchive(self.path) as archive:
                keys = self._sheets(name)
                rows, columns = _size(archive.array(keys[0], "u", 1).tobytes(), self.side)
                per = rows * columns
                self._check_room(count, per, len(keys))
                wanted = np.unique(index // per).tolist()
                raw = [archive.array(keys[number], "u", 1).tobytes() for number in wanted]
            pixels = np.empty((len(index), self.side, self.side, 3), np.uint8)
            # Pillow decodes outside the interpreter lock: two threads halve the time.
            with ThreadPoolExecutor(available_cpus()) as pool:
                sheets = pool.map(lambda data: _decode(data, self.side), raw)
                shown = with_progress(sheets, "reading", "sheet", total=len(raw))
                for number, tiles in zip(wanted, shown, strict=True):
                    here = index // per == number
                    pixels[here] = tiles[index[here] - number * per]
        except (*DAMAGE, IndexError, SyntaxError, Image.DecompressionBombError) as error:
            raise self._damaged(error) from error
        return pixels

    def _sheets(self, name: str) -> list[str]:
        """The keys of a split's sheets in order: 1000 comes after 999."""
        found = (re.fullmatch(rf"{name}_webp_([0-9]{{3,6}})", key) for key in self._keys)
        numbers = sorted(int(match[1]) for match in found if match)
        if numbers != list(range(len(numbers))) or not numbers:
            raise ValueError(f"the sheets of {name} are not numbered from 0")
        return [f"{name}_webp_{number:03d}" for number in numbers]

    def _check_room(self, count: int, per: int, sheets: int) -> None:
        """Raise a ValueError where the sheets do not hold the images, or more than they can."""
        if not (sheets - 1) * per < count <= sheets * per:
            raise ValueError(f"{sheets} sheets of {per} images do not hold {count}")
        size = max(count, per) * self.side**2 * 3
        if size > ALWAYS_PIXELS + GROWTH * self.path.stat().st_size:
            raise ValueError(f"{size:,} bytes of pixels are more than such a file holds")

    def _damaged(self, reason: object) -> UserError:
        return UserError(
            f"{self.path} is not a readable image pack ({reason}); copy it again, or write it anew"
            f" with {named('data pack')}"
        )


def _remedy() -> str:
    return f"make the pack from the pictures with {named('data pack')} --side"
