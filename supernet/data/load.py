"""`load_dataset` turns a name of the command line into images on the device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from supernet.data.cifar import CIFAR10, CIFAR100, read_cifar
from supernet.data.digits import read_digits
from supernet.data.folder import read_folder
from supernet.data.imagenet16 import read_imagenet16
from supernet.data.images import RGB, ImageData, build
from supernet.data.packs import read_packs
from supernet.data.splits import Source
from supernet.errors import UserError
from supernet.files import at_home
from supernet.files import data_root as find_data_root
from supernet.invocation import named

SIDES = (16, 32, 64)
"""What pictures of a folder may be resized to where nobody says it, in pixels."""
MOST_ON_CPU = 32
"""The largest of these on a CPU: the next one takes four times as long."""


def _rgb(red: float, green: float, blue: float) -> RGB:
    return (red / 255, green / 255, blue / 255)


CIFAR10_MEAN, CIFAR10_STD = _rgb(125.3, 123.0, 113.9), _rgb(63.0, 62.1, 66.7)
"""As NAS-RobBench-201 normalises (Wu et al. 2024), and so for the others below."""

Reader = Callable[[Path | None, bool, int], Source]

DATASETS: dict[str, tuple[Reader, dict[str, Any]]] = {
    # On a small network FGSM at 8/255 leaves 96 % of the digits right, at 32/255 44 %: black ink
    # on white needs the larger radius before an attack says anything. A mirrored 3 is not a digit.
    "digits": (
        lambda root, download, seed: read_digits(seed),
        {"pad": 2, "flip": False, "eps": 32 / 255},
    ),
    "cifar10": (
        lambda root, download, seed: read_cifar(CIFAR10, root, download),
        {"mean": CIFAR10_MEAN, "std": CIFAR10_STD},
    ),
    "cifar100": (
        lambda root, download, seed: read_cifar(CIFAR100, root, download),
        {"mean": _rgb(129.3, 124.1, 112.4), "std": _rgb(68.2, 65.4, 70.4)},
    ),
    "imagenet16-120": (
        lambda root, download, seed: read_imagenet16(root),
        {"pad": 2, "mean": _rgb(122.68, 116.66, 104.01), "std": _rgb(63.22, 61.26, 65.09)},
    ),
}
"""Reader, and the fields of `ImageData` besides the images that differ from CIFAR's defaults."""


def load_dataset(
    name: str,
    *,
    data_root: str | Path | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    side: int | None = None,
    val: str | Path | None = None,
    seed: int = 0,
    download: bool = True,
    device: torch.device | str = "cpu",
) -> ImageData:
    """Images and labels of digits, cifar10, cifar100, imagenet16-120, folder:PATH or pack:PATH.

    data_root: the folder with the files; else ROBUST_SUPERNET_DATA, else ./data.
    limit, test_limit: at most so many training and test images, the first of each class; only
        these are decoded, and 0 reads none.
    side: of the square a folder's pictures are resized to, in pixels; None chooses it by the
        pictures (`automatic_side`); other sets have theirs.
    val: a folder with the held-out pictures of folder:PATH, which are the test split then.
    seed: of the train/test split of digits and folder. It is not a run's seed: keep it, or the
        test images of one run are training images of another.
    download: whether missing files may be fetched, where the licence allows.

    Raises: UserError that names what is missing or unreadable, and the remedy.
    """
    source, options = read_source(
        name, data_root=data_root, side=side, val=val, seed=seed, download=download, device=device
    )
    return build(name, source, limit=limit, test_limit=test_limit, device=device, **options)


def read_source(
    name: str,
    *,
    data_root: str | Path | None = None,
    side: int | None = None,
    val: str | Path | None = None,
    seed: int = 0,
    download: bool = True,
    device: torch.device | str = "cpu",
) -> tuple[Source, dict[str, Any]]:
    """The splits of a data set, of which no pixels are read yet, and the fields of its `ImageData`.

    The arguments are those of `load_dataset`, which also says what is raised.
    """
    options: dict[str, Any] = {"pad": 4, "flip": True, "eps": 8 / 255}
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        if side is None:
            found = read_folder(path, SIDES[0], seed, val).shorter_side()
            side = automatic_side(found, on_gpu=torch.device(device).type == "cuda")
        source = read_folder(path, side, seed, val)
        options["pad"] = side // 8
    elif kind == "pack" and path:
        source = read_packs([_existing(at_home(path))])
    elif name in DATASETS:
        reader, own = DATASETS[name]
        root = find_data_root(data_root)
        source = reader(root, download, seed)
        options |= own
    else:
        raise UserError(
            f"unknown data set {name!r}; choose {', '.join(DATASETS)}, folder:PATH or pack:PATH"
        )
    for flag, given in (("--side", side), ("--val", val)):
        if given is not None and kind != "folder":
            what = "image size" if flag == "--side" else "test images"
            raise UserError(f"{name} has its own {what}; give {flag} only with folder:PATH")
    return source, options


def automatic_side(shorter: int | None, *, on_gpu: bool) -> int:
    """The largest of SIDES that is not above the median shorter side of the pictures, and at least
    the first one; at most MOST_ON_CPU on a CPU.

    Smaller pictures would be blurred up at a cost that grows with the square of the side.
    """
    most = SIDES[-1] if on_gpu else MOST_ON_CPU
    fitting = [s for s in SIDES if s <= most and (shorter is None or s <= shorter)]
    return fitting[-1] if fitting else SIDES[0]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(
            f"there is no pack {path}; make one with {named('data pack')}, or name the place"
            " that it has moved to as --dataset pack:PATH"
        )
    return path
