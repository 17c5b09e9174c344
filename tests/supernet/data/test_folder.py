from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supernet.data.folder import read_folder
from supernet.errors import UserError


def _save(path: Path, size: tuple[int, int] = (12, 12), colour: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, 0, 0)).save(path)


def _classes(folder: Path, per_class: int = 5) -> None:
    for label, name in enumerate(("ant", "bee")):
        for number in range(per_class):
            _save(folder / name / f"{number}.png", colour=100 * label + number)


def test_one_subfolder_per_class_is_divided_the_same_way_each_time(tmp_path: Path) -> None:
    _classes(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "ant" / "notes.txt").write_text("no picture")
    source = read_folder(tmp_path, 8, seed=0)
    assert source.class_names == ("ant", "bee")
    assert np.bincount(source.train.y).tolist() == [4, 4]
    assert np.bincount(source.test.y).tolist() == [1, 1]
    train, test = source.train.pixels(), source.test.pixels()
    assert train.shape == (8, 8, 8, 3)
    values = [*train[:, 0, 0, 0].tolist(), *test[:, 0, 0, 0].tolist()]
    assert sorted(values) == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]
    assert np.array_equal(test, read_folder(tmp_path, 8, seed=0).test.pixels())


def test_pictures_cover_the_square_and_are_cropped_at_the_centre(tmp_path: Path) -> None:
    _classes(tmp_path)
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    Image.fromarray(wide).save(tmp_path / "ant" / "0.png")
    pixels = read_folder(tmp_path, 8, seed=0)
    both = np.concatenate([pixels.train.pixels(), pixels.test.pixels()])
    assert (both == 255).all((1, 2, 3)).sum() == 1


def test_train_and_test_folders_are_splits_and_not_classes(tmp_path: Path) -> None:
    _classes(tmp_path / "train", 3)
    _classes(tmp_path / "val", 2)
    source = read_folder(tmp_path, 8, seed=0)
    assert source.class_names == ("ant", "bee")
    assert (len(source.train.y), len(source.test.y)) == (6, 4)
    (tmp_path / "val" / "bee").rename(tmp_path / "val" / "cat")
    with pytest.raises(UserError, match="have different class folders"):
        read_folder(tmp_path, 8, seed=0)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*absent"):
        read_folder(tmp_path / "absent", 8, seed=0)
    with pytest.raises(UserError, match="has no class folders; give at least two"):
        read_folder(tmp_path, 8, seed=0)
    _save(tmp_path / "ant" / "0.png")
    with pytest.raises(UserError, match=r"has one class \(ant\); give at least two"):
        read_folder(tmp_path, 8, seed=0)
    _classes(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(UserError, match="cat has 0 pictures and needs at least 2"):
        read_folder(tmp_path, 8, seed=0)
    for side, fits in ((0, 4), (10, 12), (-4, 4)):
        with pytest.raises(UserError, match=f"{side} pixels, not a multiple of 4.*--side {fits}$"):
            read_folder(tmp_path, side, seed=0)


def test_folders_without_pictures_are_named(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="ant has 0 pictures and needs at least 2"):
        read_folder(tmp_path, 8, seed=0)
    _classes(tmp_path / "split" / "train")
    for name in ("ant", "bee"):
        (tmp_path / "split" / "test" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="test/ant has 0 pictures and needs at least 1"):
        read_folder(tmp_path / "split", 8, seed=0)


@pytest.mark.parametrize("keep", [0, 30, 50])
def test_an_unreadable_picture_is_named(tmp_path: Path, keep: int) -> None:
    _classes(tmp_path)
    bad = tmp_path / "bee" / "3.png"
    bad.write_bytes(bad.read_bytes()[:keep])
    source = read_folder(tmp_path, 8, seed=0)
    with pytest.raises(
        UserError, match=r"bee/3\.png is not a readable picture .*replace or remove"
    ):
        (source.train.pixels(), source.test.pixels())
