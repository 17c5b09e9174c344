import hashlib
import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision

from supernet.data import cifar
from supernet.data.cifar import CIFAR10, CIFAR100, read_cifar
from supernet.data.packs import write_pack
from supernet.errors import UserError

NAMES = ["airplane", "automobile", "bird"]


def _publish(folder: Path, per_file: int = 4) -> np.ndarray:
    """A small set in the publisher's form; pixels of the training images, N3HW."""
    folder.mkdir(parents=True)
    random = np.random.RandomState(0)
    every = []
    for name in (*CIFAR10.train, *CIFAR10.test):
        x = random.randint(0, 256, (per_file, 3072)).astype(np.uint8)
        every.append(x)
        content = {b"data": x, b"labels": [0, 1, 2, 1]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / CIFAR10.meta).write_bytes(pickle.dumps({"label_names": NAMES}, protocol=2))
    return np.concatenate(every[:-1]).reshape(-1, 3, 32, 32)


def _as_published(folder: Path) -> cifar._Publication:
    """CIFAR-10, were the files in this folder the publisher's."""
    md5s = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    return replace(CIFAR10, md5s=md5s)


def _pack(root: Path, name: str, n: int = 3) -> None:
    x = np.full((n, 32, 32, 3), n, np.uint8)
    splits = {"train": (x, np.arange(n) % 3), "test": (x[:1], np.zeros(1, int))}
    write_pack(root / "images" / name, splits, NAMES, "")


@pytest.mark.parametrize(("ours", "name"), [(CIFAR10, "CIFAR10"), (CIFAR100, "CIFAR100")])
def test_names_and_checksums_are_torchvisions(ours: cifar._Publication, name: str) -> None:
    theirs = getattr(torchvision.datasets, name)
    assert cifar.SITE + ours.archive == theirs.url
    assert ours.archive_md5 == theirs.tgz_md5
    assert ours.folder == theirs.base_folder
    files = dict(theirs.train_list + theirs.test_list)
    files[theirs.meta["filename"]] = theirs.meta["md5"]
    assert dict(ours.md5s) == files
    assert ours.names_key == theirs.meta["key"]


def test_publishers_files_are_read(tmp_path: Path) -> None:
    x = _publish(tmp_path / CIFAR10.folder)
    source = read_cifar(_as_published(tmp_path / CIFAR10.folder), tmp_path, download=False)
    assert np.array_equal(source.train.pixels(), x.transpose(0, 2, 3, 1))
    assert source.train.y.tolist() == [0, 1, 2, 1] * 5
    assert source.class_names == tuple(NAMES)


def test_changed_files_are_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / CIFAR10.folder
    _publish(folder)
    published = _as_published(folder)
    for name in ("data_batch_2", "batches.meta"):
        (folder / name).write_bytes((folder / name).read_bytes() + b".")
    with pytest.raises(UserError, match=r"differs of data_batch_2, batches.meta\); unpack http"):
        read_cifar(published, tmp_path, download=False)


@pytest.mark.slow
def test_order_of_preference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pack(tmp_path, "cifar10-small.npz", 3)
    source = read_cifar(CIFAR10, tmp_path, download=False)
    assert source.origin == "the pack cifar10-small.npz"
    assert "a SUBSET of CIFAR-10" in source.remark
    _pack(tmp_path, "cifar10-b.npz", 5)
    _pack(tmp_path, "cifar10-a.npz", 4)
    source = read_cifar(CIFAR10, tmp_path, download=False)
    assert source.origin == "the packs cifar10-a.npz and cifar10-b.npz"
    assert source.train.pixels()[:, 0, 0, 0].tolist() == [4] * 4 + [5] * 5
    assert "a SUBSET of CIFAR-10" in source.remark, "9 images are not the 50,000"
    monkeypatch.setattr(cifar, "WHOLE", 9)
    assert not read_cifar(CIFAR10, tmp_path, download=False).remark
    _publish(tmp_path / CIFAR10.folder)
    published = _as_published(tmp_path / CIFAR10.folder)
    assert "publisher" in read_cifar(published, tmp_path, download=False).origin


@pytest.mark.parametrize(
    "content",
    [
        {"data": np.zeros((1, 3072)), "labels": [0]},
        {"data": np.zeros((0, 3072), np.uint8), "labels": []},
        {"data": np.zeros((1, 3072), np.uint8), "labels": [-1]},
        {"data": np.zeros((1, 3072), np.uint8), "labels": [3]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [1, "1"]},
        {"data": np.zeros((1, 3072), np.uint8), "labels": [0.0]},
        {"data": np.zeros((1, 3072), np.uint8), "labels": 1},
        {"data": "pixels", "labels": [1]},
        {},
    ],
)
def test_an_odd_file_is_named(tmp_path: Path, content: dict[str, object]) -> None:
    folder = tmp_path / CIFAR10.folder
    _publish(folder)
    (folder / "data_batch_3").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match="data_batch_3 does not hold 32x32 images with labels"):
        read_cifar(_as_published(folder), tmp_path, download=False)


@pytest.mark.parametrize("names", [[], "abc", [1, 2], None])
def test_odd_class_names_are_named(tmp_path: Path, names: object) -> None:
    folder = tmp_path / CIFAR10.folder
    _publish(folder)
    (folder / CIFAR10.meta).write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    with pytest.raises(UserError, match=r"batches\.meta has no label_names"):
        read_cifar(_as_published(folder), tmp_path, download=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / CIFAR10.folder
    _publish(folder)
    (folder / "data_batch_3").unlink()
    with pytest.raises(UserError, match="lacks data_batch_3; unpack https"):
        read_cifar(CIFAR10, tmp_path, download=False)


def test_what_is_missing_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"CIFAR-10 is neither in .*put https.*{CIFAR10.archive_md5}.*--data-root"
    ):
        read_cifar(CIFAR10, tmp_path, download=False)


def test_download_unpack_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, root = tmp_path / "server", tmp_path / "root"
    _publish(server / CIFAR10.folder)
    root.mkdir()
    archive = server / CIFAR10.archive
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(server / CIFAR10.folder, CIFAR10.folder)
    monkeypatch.setattr(cifar, "SITE", server.as_uri() + "/")
    with pytest.raises(UserError, match=r"CIFAR-10 is neither .*something else than the publisher"):
        read_cifar(CIFAR10, root, download=True)
    assert not list(root.iterdir())
    mine = replace(
        _as_published(server / CIFAR10.folder),
        archive_md5=hashlib.md5(archive.read_bytes()).hexdigest(),
    )
    source = read_cifar(mine, root, download=True)
    assert len(source.train.y) == 20 and not source.remark
    # An archive that is there already is unpacked without any network.
    shutil.rmtree(root / CIFAR10.folder)
    assert len(read_cifar(mine, root, download=False).train.y) == 20
