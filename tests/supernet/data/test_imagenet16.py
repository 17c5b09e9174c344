import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from supernet.data.imagenet16 import CLASSES, STAND_IN, TEST, TRAIN, read_imagenet16
from supernet.data.packs import write_pack
from supernet.errors import UserError


def _publish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small set in the publisher's form, whose MD5s are taken for the published ones."""
    folder.mkdir()
    for number, name in enumerate((*TRAIN, *TEST)):
        x = np.full((4, 768), number, np.uint8)
        x[1, 256:512] = 200
        content = {"data": x, "labels": [1, 120, 121, 1000], "mean": x.mean(0)}
        (folder / name).write_bytes(pickle.dumps(content))
        _admit(folder / name, monkeypatch)


def _admit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = TRAIN if path.name in TRAIN else TEST
    monkeypatch.setitem(known, path.name, hashlib.md5(path.read_bytes()).hexdigest())


def test_labels_1_to_120_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(tmp_path / "ImageNet16", monkeypatch)
    source = read_imagenet16(tmp_path)
    assert source.train.y.tolist() == [0, 119] * 10
    assert source.test.y.tolist() == [0, 119]
    pixels = source.train.pixels()
    assert pixels.shape == (20, 16, 16, 3)
    # Channels are planes in the file: the second plane of the second image is green.
    assert pixels[3, 5, 5].tolist() == [1, 200, 1]
    assert len(source.class_names) == CLASSES and not source.stand_in


def test_a_stand_in_is_called_one(tmp_path: Path) -> None:
    x = np.zeros((2, 16, 16, 3), np.uint8)
    splits = {"train": (x, np.arange(2)), "test": (x, np.arange(2))}
    write_pack(tmp_path / "images" / STAND_IN, splits, ("a", "b"), "")
    source = read_imagenet16(tmp_path)
    assert source.stand_in and "a STAND-IN for ImageNet16-120, not it" in source.remark


def test_missing_and_changed_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"terms allow no automatic download: .*image-net.org"):
        read_imagenet16(tmp_path)
    _publish(tmp_path / "ImageNet16", monkeypatch)
    (tmp_path / "ImageNet16" / "train_data_batch_7").unlink()
    with pytest.raises(UserError, match="lacks train_data_batch_7"):
        read_imagenet16(tmp_path)
    (tmp_path / "ImageNet16" / "train_data_batch_7").write_bytes(
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]})
    )
    with pytest.raises(UserError, match=r"the MD5 differs of train_data_batch_7\).* again, or ren"):
        read_imagenet16(tmp_path)
    _admit(tmp_path / "ImageNet16" / "train_data_batch_7", monkeypatch)
    with pytest.raises(UserError, match="train_data_batch_7 does not hold 16x16 images"):
        read_imagenet16(tmp_path)
