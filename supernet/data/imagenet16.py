"""ImageNet16-120: the first 120 classes of the 16x16 ImageNet release (Chrabaszcz et al. 2017).

ImageNet's terms allow no download without an account, so the files must be there. A pack of other
small images may stand in for it, and is then called a stand-in wherever it is named.
"""

from pathlib import Path

import numpy as np

from supernet.data.packs import read_packs
from supernet.data.pickles import load_arrays
from supernet.data.splits import PixelArray, Source, Split, in_memory
from supernet.errors import UserError

SIDE = 16
CLASSES = 120
TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST = ("val_data",)
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
    return Source(
        train=_first_classes(folder, TRAIN),
        test=_first_classes(folder, TEST),
        class_names=tuple(f"imagenet-{number}" for number in range(1, CLASSES + 1)),
        origin=f"the publisher's files in {folder.name}, labels 1 to {CLASSES}",
    )


def _first_classes(folder: Path, names: tuple[str, ...]) -> Split:
    pixels: list[PixelArray] = []
    labels: list[np.ndarray] = []
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks {name}; unpack the 16x16 ImageNet release there again")
        content = load_arrays(folder / name)
        x, y = content.get("data"), np.asarray(content.get("labels", ()))
        if (
            not isinstance(x, np.ndarray)
            or x.dtype != np.uint8
            or x.shape != (len(y), 3 * SIDE * SIDE)
        ):
            raise UserError(
                f"{folder / name} does not hold 16x16 images with labels; unpack the release again"
            )
        # Labels count from 1 in this release.
        kept = (y >= 1) & (y <= CLASSES)
        pixels.append(x[kept].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
        labels.append(y[kept].astype(np.int64) - 1)
    return in_memory(np.concatenate(pixels), np.concatenate(labels))
