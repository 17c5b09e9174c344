"""A folder of pictures: one subfolder per class, or train/ and test/ with one subfolder each."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from supernet.data.splits import (
    IndexArray,
    PixelArray,
    Source,
    Split,
    check_side,
    stratified_test,
)
from supernet.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"}
TEST_SHARE = 0.2
TEST_FOLDERS = ("test", "val", "valid", "validation")


def read_folder(folder: str | Path, side: int, seed: int) -> Source:
    """Pictures as side x side RGB: scaled to cover the square, then cropped at the centre.

    With subfolders train/ and test/ (or val/) these are the splits; else a fifth of each class,
    chosen by the seed from the sorted file names, is the test split.

    Raises: UserError naming the folder (missing, one class, an empty class), the side that the
            networks cannot halve twice, or the picture (unreadable, when its pixels are wanted).
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give folder:PATH with a subfolder per class")
    check_side(f"the pictures in {folder} would become", side, "give --side")
    names = _subfolders(folder)
    held_out = [name for name in names if name in TEST_FOLDERS]
    if "train" in names and len(held_out) == 1 and len(names) == 2:
        return _official(folder, held_out[0], side)
    return _divided(folder, names, side, seed)


def _divided(folder: Path, names: Sequence[str], side: int, seed: int) -> Source:
    files, y = _list_classes(folder, names, least=2)
    test = stratified_test(y, TEST_SHARE, seed)
    every = _pictures(files, y, side)
    return Source(
        train=every.take(np.flatnonzero(~test)),
        test=every.take(np.flatnonzero(test)),
        class_names=tuple(names),
        origin=f"the folder {folder}, shown as {side}x{side}",
        remark=f"a fifth of each class is the test split, chosen with seed {seed}",
    )


def _official(folder: Path, held_out: str, side: int) -> Source:
    names = _subfolders(folder / "train")
    if _subfolders(folder / held_out) != names:
        raise UserError(
            f"{folder / 'train'} and {folder / held_out} have different class folders;"
            " make them the same"
        )
    train = _list_classes(folder / "train", names, least=1)
    test = _list_classes(folder / held_out, names, least=1)
    return Source(
        train=_pictures(*train, side),
        test=_pictures(*test, side),
        class_names=tuple(names),
        origin=f"the folder {folder} with its own train and {held_out}, shown as {side}x{side}",
    )


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _list_classes(folder: Path, names: Sequence[str], least: int) -> tuple[list[Path], np.ndarray]:
    if len(names) < 2:
        found = f"one class ({names[0]})" if names else "no class folders"
        raise UserError(f"{folder} has {found}; give at least two subfolders, one per class")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        pictures = sorted(
            path
            for path in (folder / name).rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file() and path.name[0] != "."
        )
        if len(pictures) < least:
            raise UserError(
                f"{folder / name} has {len(pictures)} pictures and needs at least {least};"
                " add some or remove the folder"
            )
        files += pictures
        labels += [label] * len(pictures)
    return files, np.asarray(labels, np.int64)


def _pictures(files: Sequence[Path], y: np.ndarray, side: int) -> Split:
    def read(index: IndexArray) -> PixelArray:
        # Pillow decodes and resizes outside the interpreter lock.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pictures = list(pool.map(lambda i: _picture(files[i], side), index.tolist()))
        return np.stack(pictures) if pictures else np.empty((0, side, side, 3), np.uint8)

    return Split(y, read)


def _picture(path: Path, side: int) -> PixelArray:
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            square = ImageOps.fit(upright, (side, side), Image.Resampling.BICUBIC)
        return np.asarray(square)
    # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and more for bad files.
    except Exception as error:
        raise UserError(
            f"{path} is not a readable picture ({error}); replace or remove it"
        ) from error
