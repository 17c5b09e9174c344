from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supernet.data import load_dataset
from supernet.data.load import automatic_side
from supernet.data.own import look
from supernet.data.packs import write_pack
from supernet.errors import UserError


def _pictures(folder: Path, counts: dict[str, int], size: tuple[int, int] = (40, 30)) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("L", size, number).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("shorter", "on_gpu", "side"),
    [
        (8, True, 16), (16, False, 16), (31, False, 16), (32, False, 32), (63, True, 32),
        (64, False, 32), (64, True, 64), (4000, True, 64), (4000, False, 32), (None, True, 64),
    ],
)  # fmt: skip
def test_the_automatic_side_is_the_largest_that_blurs_nothing_up(
    shorter: int | None, on_gpu: bool, side: int
) -> None:
    assert automatic_side(shorter, on_gpu=on_gpu) == side


def test_a_folder_is_counted_without_decoding_a_picture(tmp_path: Path) -> None:
    _pictures(tmp_path, {"ant": 10, "bee": 5})
    _pictures(tmp_path, {"cat": 15}, size=(20, 90))
    cut = (tmp_path / "ant" / "0.png").read_bytes()
    (tmp_path / "ant" / "0.png").write_bytes(cut[:-20])  # its header is whole
    found = look(f"folder:{tmp_path}")
    assert found is not None
    assert (found.counts, found.held_out, found.imbalance) == ((8, 4, 12), 6, 3.0)
    assert found.shorter_side == 25  # of 12 with 30 pixels and 12 with 20
    assert look("cifar10") is None and look("digits") is None


def test_a_pack_is_counted_and_has_its_own_side(tmp_path: Path) -> None:
    pixels, labels = np.zeros((6, 16, 16, 3), np.uint8), np.array([0, 0, 0, 0, 1, 1])
    path = tmp_path / "p.npz"
    write_pack(path, {"train": (pixels, labels), "test": (pixels[:2], labels[-2:])}, ("a", "b"), "")
    found = look(f"pack:{path}")
    assert found is not None
    assert (found.counts, found.held_out, found.shorter_side) == ((4, 2), 2, None)


def test_pictures_get_the_automatic_side_and_a_given_one_wins(tmp_path: Path) -> None:
    _pictures(tmp_path, {"ant": 5, "bee": 5}, size=(70, 35))
    assert load_dataset(f"folder:{tmp_path}").image_size == 32
    assert load_dataset(f"folder:{tmp_path}", side=8).image_size == 8
    _pictures(tmp_path, {"ant": 5, "bee": 5}, size=(31, 20))
    assert load_dataset(f"folder:{tmp_path}").image_size == 16


# Held-out pictures in a folder of their own


def test_held_out_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    train = _pictures(tmp_path / "learn", {"ant": 3, "bee": 2})
    held = _pictures(tmp_path / "other", {"ant": 1, "bee": 4})
    data = load_dataset(f"folder:{train}", val=held)
    assert data.train_y.bincount().tolist() == [3, 2]
    assert data.test_y.bincount().tolist() == [1, 4]
    assert f"the folder {train}, held out {held}" in data.source and "a fifth" not in data.source
    found = look(f"folder:{train}", held)
    assert found is not None and (found.counts, found.held_out) == ((3, 2), 5)


def test_of_folders_with_splits_the_fitting_one_is_taken(tmp_path: Path) -> None:
    for split, count in {"train": 5, "val": 2, "test": 3}.items():
        _pictures(tmp_path / "mine" / split, {"ant": count, "bee": 1})
    other = tmp_path / "other"
    for split, count in {"train": 8, "val": 4}.items():
        _pictures(other / split, {"ant": count, "bee": 1})
    name = f"folder:{tmp_path / 'mine'}"
    assert len(load_dataset(name).test_y) == 4
    assert len(load_dataset(name, val=tmp_path / "mine" / "val").test_y) == 3
    data = load_dataset(name, val=other)
    assert (len(data.train_y), len(data.test_y)) == (6, 5)


@pytest.mark.parametrize(
    ("val", "sentence"),
    [
        ("absent", r"there is no folder .*absent; correct --val"),
        ("learn", r"has the training pictures themselves; name others"),
        ("cats", r"have different class folders \(only one has bee, cat\); make them the same"),
        ("empty", r"have different class folders \(only one has ant, bee\)"),
        ("lone", r"have different class folders \(only one has ant, bee, train\)"),
    ],
)
def test_held_out_pictures_that_do_not_fit_are_named(
    tmp_path: Path, val: str, sentence: str
) -> None:
    train = _pictures(tmp_path / "learn", {"ant": 3, "bee": 2})
    _pictures(tmp_path / "cats", {"ant": 1, "cat": 1})
    _pictures(tmp_path / "lone" / "train", {"ant": 1, "bee": 1})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=sentence):
        load_dataset(f"folder:{train}", val=tmp_path / val)


def test_only_a_folder_takes_val() -> None:
    with pytest.raises(UserError, match="digits has its own test images; give --val only with"):
        load_dataset("digits", val="x")
