"""ImageNet16-120: the first 120 classes of the 16x16 ImageNet release (Chrabaszcz et al. 2017).

ImageNet's terms allow no download without an account, so the files must be there. A pack of other
small images may stand in for it, and is then called a stand-in wherever it is named.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from supernet.data.packs import read_packs
from supernet.data.pickles import load_arrays, refuse_changed, whole_numbers
from supernet.data.splits import LabelArray, PixelArray, Source, Split, in_memory
from supernet.errors import UserError

SIDE = 16
CLASSES = 120
TRAIN = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
}
TEST = {"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"}
"""File -> MD5 of the release, as the code of NAS-Bench-201 (arXiv:2001.00326) has it."""
FOLDERS = ("ImageNet16", "imagenet16", "ImageNet16-120", "imagenet16-120")
STAND_IN = "tinyimagenet16-120-subset.npz"


def read_imagenet16(root: Path | None) -> Source:
    """The publisher's files in one of FOLDERS, else a pack, else the stand-in pack.

    Raises: UserError that says which files are missing, from where and to which place.
    """
    place = root if root is not None else Path("data")
    for name in FOLDERS:
        if (place / name).is_dir():
            return _publisher_files(place / name)
    if (place / "images" / "imagenet16-120.npz").is_file():
        return read_packs([place / "images" / "imagenet16-120.npz"])
    if (place / "images" / STAND_IN).is_file():
        return read_packs(
            [place / "images" / STAND_IN],
            remark="a STAND-IN for ImageNet16-120, not it: 120 classes of Tiny ImageNet at 16x16",
            stand_in=True,
        )
    raise UserError(
        f"ImageNet16-120 is not in {place / FOLDERS[0]}; its terms allow no automatic download:"
        " get the 16x16 release (Imagenet16_train.zip, Imagenet16_val.zip) with an account from"
        f" https://image-net.org/download-images and unpack it to {place / FOLDERS[0]}"
    )


def _publisher_files(folder: Path) -> Source:
    for name in (*TRAIN, *TEST):
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks {name}; unpack the 16x16 ImageNet release there again")
    refuse_changed(folder, {**TRAIN, **TEST}, "the 16x16 ImageNet release")
    return Source(
        train=_first_classes(folder, TRAIN),
        test=_first_classes(folder, TEST),
        class_names=tuple(f"imagenet-{number}" for number in range(1, CLASSES + 1)),
        origin=f"the publisher's files in {folder.name}, labels 1 to {CLASSES}",
    )


def _first_classes(folder: Path, names: Iterable[str]) -> Split:
    pixels: list[PixelArray] = []
    labels: list[LabelArray] = []
    for name in names:
        content = load_arrays(folder / name)
        x, y = content.get("data"), whole_numbers(content.get("labels"))
        if (
            not isinstance(x, np.ndarray)
            or x.dtype != np.uint8
            or y is None
            or x.shape != (len(y), 3 * SIDE * SIDE)
        ):
            raise UserError(
                f"{folder / name} does not hold 16x16 images with labels; unpack the release again"
            )
        # Labels count from 1 in this release.
        kept = (y >= 1) & (y <= CLASSES)
        pixels.append(x[kept].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
        labels.append(y[kept] - 1)
    return in_memory(np.concatenate(pixels), np.concatenate(labels))
