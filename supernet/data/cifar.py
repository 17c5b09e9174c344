"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the publisher's files, packs, or a download."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supernet.data.download import fetch, unpack
from supernet.data.packs import read_packs
from supernet.data.pickles import load_arrays, refuse_changed, whole_numbers
from supernet.data.splits import LabelArray, PixelArray, Source, Split, in_memory
from supernet.errors import UserError

SITE = "https://www.cs.toronto.edu/~kriz/"
WHOLE = 50_000
"""Training images of either set; fewer are called a subset."""


@dataclass(frozen=True, kw_only=True)
class _Publication:
    title: str
    stem: str
    """Of the packs' names, and the name on the command line."""
    archive: str
    archive_md5: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels_key: str
    names_key: str
    md5s: Mapping[str, str]
    subset: str
    """The pack that serves when there is nothing better."""

    @property
    def url(self) -> str:
        """Where the archive is."""
        return SITE + self.archive


CIFAR10 = _Publication(
    title="CIFAR-10",
    stem="cifar10",
    archive="cifar-10-python.tar.gz",
    archive_md5="c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    labels_key="labels",
    names_key="label_names",
    md5s={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    subset="cifar10-small.npz",
)

CIFAR100 = _Publication(
    title="CIFAR-100",
    stem="cifar100",
    archive="cifar-100-python.tar.gz",
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    labels_key="fine_labels",
    names_key="fine_label_names",
    md5s={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    subset="cifar100-subset.npz",
)


def read_cifar(published: _Publication, root: Path | None, download: bool) -> Source:
    """The publisher's files if they are there, else full packs, else an archive to unpack, else
    the subset pack, else a download.

    Raises: UserError that says which file is missing, from where and to which place.
    """
    place = root if root is not None else Path("data")
    if (place / published.folder).is_dir():
        return _publisher_files(published, place / published.folder)
    images = place / "images"
    whole = images / f"{published.stem}.npz"
    parts = [whole] if whole.is_file() else sorted(images.glob(f"{published.stem}-[a-z].npz"))
    if parts:
        source = read_packs(parts)
        if len(source.train.y) < WHOLE:
            return dataclasses.replace(source, remark=_subset(published))
        return source
    archive = place / published.archive
    if archive.is_file():
        return _publisher_files(published, unpack(archive, published.folder, published.md5s))
    if (images / published.subset).is_file():
        return read_packs([images / published.subset], _subset(published))
    return _download(published, archive, download)


def _subset(published: _Publication) -> str:
    return f"a SUBSET of {published.title}: results are not of the whole data set"


def _download(published: _Publication, archive: Path, allowed: bool) -> Source:
    missing = (
        f"{published.title} is neither in {archive.parent / published.folder} nor in a pack"
        f" {archive.parent / 'images' / published.stem}.npz"
    )
    remedy = (
        f"put {published.url} (MD5 {published.archive_md5}) at {archive},"
        " or name the folder that has it with --data-root"
    )
    if not allowed:
        raise UserError(f"{missing}; {remedy}")
    try:
        fetch(published.url, archive, published.archive_md5)
    except UserError as error:
        raise UserError(f"{missing}, and {error}") from error
    return _publisher_files(published, unpack(archive, published.folder, published.md5s))


def _publisher_files(published: _Publication, folder: Path) -> Source:
    names = [*published.train, *published.test, published.meta]
    for name in names:
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} lacks {name}; unpack {published.url} there again,"
                " or remove the folder to use packs"
            )
    refuse_changed(folder, {name: published.md5s[name] for name in names}, published.url)
    classes = load_arrays(folder / published.meta).get(published.names_key)
    if (
        not isinstance(classes, list)
        or not classes
        or not all(isinstance(name, str) for name in classes)
    ):
        raise UserError(
            f"{folder / published.meta} has no {published.names_key}; unpack the archive again"
        )
    return Source(
        train=_read_batches(published, folder, published.train, len(classes)),
        test=_read_batches(published, folder, published.test, len(classes)),
        class_names=tuple(classes),
        origin=f"the publisher's files in {folder.name}",
    )


def _read_batches(
    published: _Publication, folder: Path, names: tuple[str, ...], classes: int
) -> Split:
    pixels: list[PixelArray] = []
    labels: list[LabelArray] = []
    for name in names:
        content = load_arrays(folder / name)
        x, y = content.get("data"), whole_numbers(content.get(published.labels_key))
        if (
            not isinstance(x, np.ndarray)
            or x.dtype != np.uint8
            or x.ndim != 2
            or y is None
            or x.shape != (len(y), 3 * 32 * 32)
            or not len(y)
            or not 0 <= y.min() <= y.max() < classes
        ):
            raise UserError(
                f"{folder / name} does not hold 32x32 images with {published.labels_key};"
                " unpack the publisher's archive again"
            )
        pixels.append(x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(y)
    return in_memory(np.concatenate(pixels), np.concatenate(labels))
