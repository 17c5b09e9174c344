import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supernet import progress
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


def test_reading_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    _classes(tmp_path)
    read_folder(tmp_path, 8, seed=0).train.pixels()
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "reading: 8 of 8 pictures" and said[0].startswith("reading: 1 of 8 pict")


def test_pictures_cover_the_square_and_are_cropped_at_the_centre(tmp_path: Path) -> None:
    _classes(tmp_path)
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    Image.fromarray(wide).save(tmp_path / "ant" / "0.png")
    pixels = read_folder(tmp_path, 8, seed=0)
    both = np.concatenate([pixels.train.pixels(), pixels.test.pixels()])
    assert (both == 255).all((1, 2, 3)).sum() == 1


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("train", "val"), ("train", "test"), ("Train", "Valid"), ("training", "testing"),
        ("TRAINSET", "validation_set"), ("seg_train", "seg_test"), ("train2017", "val2017"),
    ],
)  # fmt: skip
def test_train_and_test_folders_are_splits_and_not_classes(
    tmp_path: Path, train: str, held_out: str
) -> None:
    _classes(tmp_path / train, 3)
    _classes(tmp_path / held_out, 2)
    source = read_folder(tmp_path, 8, seed=0)
    assert source.class_names == ("ant", "bee")
    assert (len(source.train.y), len(source.test.y)) == (6, 4)
    assert f"with its own {train} and {held_out}" in source.origin and source.remark == ""
    (tmp_path / held_out / "bee").rename(tmp_path / held_out / "cat")
    with pytest.raises(
        UserError,
        match=r"have different class folders \(only one has bee, cat\); make them the same",
    ):
        read_folder(tmp_path, 8, seed=0)


def test_of_three_splits_test_is_held_out_and_val_left_out(tmp_path: Path) -> None:
    for count, name in enumerate(("train", "Validation", "test", "extra"), start=1):
        _classes(tmp_path / name, count)
    source = read_folder(tmp_path, 8, seed=0)
    assert (len(source.train.y), len(source.test.y)) == (2, 6)
    assert source.remark == "left out: folders beside the splits: 2 (Validation, extra)"


def test_a_test_split_without_labels_leaves_the_place_to_val(tmp_path: Path) -> None:
    _classes(tmp_path / "train")
    _save(tmp_path / "test" / "1.png")
    with pytest.raises(
        UserError, match=r"test without class folders .*give folder:(.*/train), of which a fifth"
    ) as caught:
        read_folder(tmp_path, 8, seed=0)
    remedy = re.search("give folder:([^,]*),", str(caught.value))
    assert remedy and len(read_folder(remedy[1], 8, seed=0).test.y) == 2
    _classes(tmp_path / "val", 2)
    source = read_folder(tmp_path, 8, seed=0)
    assert len(source.test.y) == 4
    assert source.remark == "left out: folders beside the splits: 1 (test)"


def test_classes_may_be_called_as_splits_are(tmp_path: Path) -> None:
    """A train is a vehicle, a test may be a test strip: such folders hold pictures themselves."""
    for name in ("bus", "train", "train_station", "test_tube"):
        for number in range(2):
            _save(tmp_path / name / f"{number}.png")
    source = read_folder(tmp_path, 8, seed=0)
    assert source.class_names == ("bus", "test_tube", "train", "train_station")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/ant", "train/bee"], r"train looks like a train split.*give folder:.*/train, of"),
        (["ant", "bee", "test/ant"], "test looks like a test split, and there is no other"),
        (["val/ant", "val/bee", "test/ant", "test/bee"], "splits test and val but none called tra"),
        (["train/ant", "Training/ant", "test/ant"], r"than one train split \(Training, train\)"),
        (["a_train/x", "a_test/x", "b_train/x", "b_test/x"], r"several sets of splits \(a_te"),
        (["train", "test"], "train is a training split without class folders; put its pictures"),
        (["ant/train", "ant/test", "bee"], "class .*/ant has the splits test and train inside of"),
        (["all/ant", "all/bee"], r"holds one folder, all; name that one: .*/all$"),
    ],
)  # fmt: skip
def test_unclear_layouts_are_refused(tmp_path: Path, folders: list[str], message: str) -> None:
    for folder in folders:
        for number in range(2):
            _save(tmp_path / folder / f"{number}.png")
    with pytest.raises(UserError, match=message):
        read_folder(tmp_path, 8, seed=0)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    _classes(tmp_path, 4)
    plain = read_folder(tmp_path, 8, seed=0)
    ant = tmp_path / "ant"
    for hidden in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        _save(ant / hidden / "0.png")
    (tmp_path / "__MACOSX" / "ant").mkdir(parents=True)
    for name in ("a.heic", "b.HEIC", "notes.txt", ".DS_Store", "Thumbs.db", "._0.png"):
        (ant / name).touch()
    (ant / "lost.png").symlink_to(tmp_path / "absent.png")
    (ant / "round.png").symlink_to(ant / "round.png")
    _save(tmp_path / "cover.jpg")
    source = read_folder(tmp_path, 8, seed=0)
    assert source.remark == (
        "a fifth of each class is the test split, chosen with seed 0; left out: pictures of types"
        " that are not read, convert them to .png: 2 (.heic); broken links: 2"
        " (ant/lost.png, ant/round.png); pictures outside of the class folders: 1 (cover.jpg);"
        " hidden pictures and folders: 5 (__MACOSX, ._0.png, .ipynb_checkpoints, ...); other files:"
        " 1 (.txt)"
    )
    assert plain.remark == "a fifth of each class is the test split, chosen with seed 0"
    assert np.array_equal(plain.test.pixels(), source.test.pixels())


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe would wait for a writer, and /dev/zero has no end."""
    _classes(tmp_path)
    os.mkfifo(tmp_path / "ant" / "pipe.png")
    (tmp_path / "ant" / "to.png").symlink_to(tmp_path / "ant" / "pipe.png")
    (tmp_path / "bee" / "zero.jpg").symlink_to("/dev/zero")
    source = read_folder(tmp_path, 8, seed=0)
    assert source.remark.endswith(
        "left out: pipes, devices and links to them: 3 (ant/pipe.png, ant/to.png, bee/zero.jpg)"
    )
    assert len(source.train.pixels()) + len(source.test.pixels()) == 10


def test_a_folder_of_a_user_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder ~nobody-of-this-name/p; name the one"):
        read_folder("~nobody-of-this-name/p", 8, seed=0)


def test_an_empty_class_says_what_it_has_instead(tmp_path: Path) -> None:
    _classes(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "0.heic").touch()
    with pytest.raises(
        UserError,
        match=r"cat has 0 pictures \(left out: pictures of types .* 1 \(\.heic\)\) and needs",
    ):
        read_folder(tmp_path, 8, seed=0)


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    _classes(tmp_path / "store")
    (tmp_path / "here" / "bee").mkdir(parents=True)
    (tmp_path / "here" / "ant").symlink_to(tmp_path / "store" / "ant")
    (tmp_path / "here" / "bee" / "more").symlink_to(tmp_path / "store" / "bee")
    (tmp_path / "store" / "bee" / "up").symlink_to(tmp_path / "here" / "bee")
    source = read_folder(tmp_path / "here", 8, seed=0)
    assert np.bincount(source.train.y).tolist() == [4, 4]


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _classes(tmp_path)
    scandir = os.scandir

    def closed(path: Path) -> object:
        if Path(path).name == "bee":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UserError, match=r"folder .*/bee cannot be listed \(Permission denied\)"):
        read_folder(tmp_path, 8, seed=0)


def test_what_is_remarkable_of_pictures_is_counted(tmp_path: Path) -> None:
    _classes(tmp_path)
    for number, alpha in enumerate((0, 100, 255)):
        Image.new("RGBA", (12, 12), (9, 9, 9, alpha)).save(tmp_path / "ant" / f"{number}.png")
    for number, value in enumerate((100, 40000)):
        deep = np.full((12, 12), value, np.uint16)
        Image.fromarray(deep).save(tmp_path / "bee" / f"{number}.png")
    source = read_folder(tmp_path, 8, seed=0)
    assert source.seen() == ""
    for split in (source.train, source.test, source.train):
        split.pixels()
    assert source.seen() == (
        "pictures with transparent parts, shown on white: 2, of 16-bit grey, scaled to 8 bits: 2,"
        " of these below a sixteenth of their range and nearly black: 1"
    )


def test_12_bit_values_in_16_bit_files_are_refused(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(3):
            deep = np.full((12, 12), 1000 * (number + 1), np.uint16)
            Image.fromarray(deep).save(tmp_path / name / f"{number}.png")
    with pytest.raises(UserError, match=r"all 16-bit pictures \(4, such as .*png\) stay below"):
        read_folder(tmp_path, 8, seed=0).train.pixels()


def test_a_side_that_the_memory_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _classes(tmp_path)
    with pytest.raises(UserError, match=r"8 images of 1000000x1000000 pixels take 48,000.0 GB"):
        read_folder(tmp_path, 1_000_000, seed=0).train.pixels()
    for spare, fits in ((0, True), (-1, False)):
        there = 2 * 8 * 3 * 8**2 + spare
        monkeypatch.setattr("supernet.data.splits.machine_memory", lambda there=there: there)
        train = read_folder(tmp_path, 8, seed=0).train
        if fits:
            assert len(train.pixels()) == 8
        else:
            with pytest.raises(UserError, match="give a smaller --side, or fewer images"):
                train.pixels()


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
