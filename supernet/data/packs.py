"""Packs: lossless WebP contact sheets of a data set in one plain .npz.

Keys: `side`, `class_names`, `note`; per split `<split>_n`, `<split>_y` and the sheets
`<split>_webp_000`, `_001`, ..., each the bytes of one WebP picture with 40 images in a row and,
but for the last, the same number of rows; optional `<split>_lossless` marks exact images.
A pack of CIFAR is a third smaller than the publisher's archive and holds no pickles.
"""

import io
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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

COLUMNS = 40
ROWS = 25
"""1,000 images a sheet: 40 * 32 by 25 * 32 pixels, about 2 MB and 60 ms to decode."""

_REMEDY = "make the pack from the pictures with scripts/make_pack.py --side"
_DAMAGE = (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile)


def read_packs(paths: Sequence[Path], remark: str = "", stand_in: bool = False) -> Source:
    """The splits of one pack, or of several parts of one data set in order.

    Raises: UserError naming the file when a pack is damaged, holds nothing a network can learn
            from (no images, one class, a side that is not a multiple of 4), or its parts do not
            fit together.
    """
    headers = [_Header(path) for path in paths]
    first = headers[0]
    check_side(f"{first.path} holds", first.side, _REMEDY)
    if len(first.class_names) < 2:
        raise UserError(
            f"{first.path} has one class ({', '.join(first.class_names)}); a network needs at least"
            " two classes, one per subfolder that scripts/make_pack.py reads"
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
        raise UserError(f"{first.path} holds no images; make it again with scripts/make_pack.py")
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
    check_side(f"{path} would hold", x.shape[1], _REMEDY)
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
    per = COLUMNS * ROWS
    entries: dict[str, Any] = {}
    chunks = [pixels[start : start + per] for start in range(0, len(pixels), per)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
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


def _decode(raw: bytes, side: int) -> PixelArray:
    with Image.open(io.BytesIO(raw)) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    tiles = sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, side, side, 3)


class _Header:
    """What a pack says of itself; sheets are read when a split's pixels are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as archive:
                self.side = int(archive["side"])
                self.class_names = tuple(str(name) for name in archive["class_names"])
                self._keys = list(archive.files)
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def split(self, name: str) -> Split:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                count = int(archive[f"{name}_n"])
                y = archive[f"{name}_y"].astype(np.int64)
                lossless = archive.get(f"{name}_lossless")
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if len(y) != count or (count and y.max() >= len(self.class_names)):
            raise self._damaged(f"the labels of {name} do not fit its {count} images")
        return Split(
            y,
            lambda index: self._read(name, index),
            None if lossless is None else ~lossless.astype(bool),
        )

    def _read(self, name: str, index: IndexArray) -> PixelArray:
        pixels = np.empty((len(index), self.side, self.side, 3), np.uint8)
        if not len(index):
            return pixels
        prefix = f"{name}_webp_"
        keys = [key for key in self._keys if key.startswith(prefix)]
        keys.sort(key=lambda key: int(key.removeprefix(prefix)))  # 1000 comes after 999
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                with Image.open(io.BytesIO(archive[keys[0]].tobytes())) as sheet:
                    per = (sheet.width // self.side) * (sheet.height // self.side)
                wanted = np.unique(index // per).tolist()
                raw = [archive[keys[number]].tobytes() for number in wanted]
            # Pillow decodes outside the interpreter lock: two threads halve the time.
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                sheets = pool.map(lambda data: _decode(data, self.side), raw)
                for number, tiles in zip(wanted, sheets, strict=True):
                    here = index // per == number
                    pixels[here] = tiles[index[here] - number * per]
        except (*_DAMAGE, IndexError) as error:
            raise self._damaged(error) from error
        return pixels

    def _damaged(self, reason: object) -> UserError:
        return UserError(
            f"{self.path} is not a readable image pack ({reason}); copy it again, or write it anew"
            " with scripts/make_pack.py"
        )
