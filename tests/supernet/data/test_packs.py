import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supernet import progress
from supernet.data import packs
from supernet.data.packs import read_packs, write_pack
from supernet.errors import UserError

NAMES = ("ant", "bee", "cat")


def _images(n: int, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(n)
    x = random.randint(0, 256, (n, side, side, 3)).astype(np.uint8)
    return x, random.randint(0, 3, n)


def _write(path: Path, train: int = 90, test: int = 7) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    splits = {"train": _images(train), "test": _images(test)}
    write_pack(path, splits, NAMES, "a note")
    return splits


@pytest.fixture
def small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "ROWS", 1)


@pytest.mark.usefixtures("small_sheets")
def test_a_pack_comes_back_bit_for_bit(tmp_path: Path) -> None:
    splits = _write(tmp_path / "a.npz")
    source = read_packs([tmp_path / "a.npz"])
    for name, split in (("train", source.train), ("test", source.test)):
        assert np.array_equal(split.pixels(), splits[name][0])
        assert np.array_equal(split.y, splits[name][1])
    index = np.array([85, 3, 41])
    assert np.array_equal(source.train.read(index), splits["train"][0][index])
    assert source.class_names == NAMES
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.usefixtures("small_sheets")
def test_reading_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    _write(tmp_path / "a.npz")
    capsys.readouterr()
    read_packs([tmp_path / "a.npz"]).train.pixels()
    assert capsys.readouterr().err.splitlines()[-1] == "reading: 3 of 3 sheets"


def test_the_format_is_the_published_one(tmp_path: Path) -> None:
    """Read by hand: sheets of 40 images in a row, row after row."""
    splits = _write(tmp_path / "a.npz")
    x, _ = splits["train"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert int(archive["side"]) == 8 and int(archive["train_n"]) == 90
        assert str(archive["note"]) == "a note"
        sheet = np.asarray(Image.open(io.BytesIO(archive["train_webp_000"].tobytes())))
    assert sheet.shape == (3 * 8, 40 * 8, 3)
    assert np.array_equal(sheet[8:16, 16:24], x[42])


@pytest.mark.usefixtures("small_sheets")
def test_only_the_sheets_that_are_needed_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "a.npz")
    decoded = []
    original = packs._decode
    monkeypatch.setattr(
        packs, "_decode", lambda raw, side: decoded.append(1) or original(raw, side)
    )
    read_packs([tmp_path / "a.npz"]).train.read(np.array([41, 79]))
    assert len(decoded) == 1


@pytest.mark.slow
def test_parts_are_joined_and_lossy_images_counted(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "a.npz"), _write(tmp_path / "b.npz", 11, 5)
    with np.load(tmp_path / "b.npz") as archive:
        entries = dict(archive)
    np.savez(tmp_path / "b.npz", train_lossless=np.arange(11) != 4, **entries)
    source = read_packs([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert np.array_equal(
        source.train.pixels(), np.concatenate([first["train"][0], second["train"][0]])
    )
    assert source.train.num_lossy() == 1 and source.test.num_lossy() == 0
    assert source.train.take(np.arange(94)).num_lossy() == 0
    assert source.origin == "the packs a.npz and b.npz"


def test_damaged_packs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    _write(path)
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"<html>404</html>", b""):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"a.npz is not a readable image pack"):
            read_packs([path])
    np.savez(path, side=8, class_names=np.array(NAMES), train_n=2, train_y=np.array([0, 1]))
    with pytest.raises(UserError, match=r"a.npz is not a readable image pack"):
        read_packs([path])
    np.savez(
        path,
        side=8,
        class_names=np.array(NAMES),
        train_n=2,
        train_y=np.array([0, 9]),
        test_n=0,
        test_y=np.array([], np.uint8),
    )
    with pytest.raises(UserError, match="labels of train do not fit its 2 images"):
        read_packs([path])


@pytest.mark.slow
def test_a_sheet_that_lacks_images_is_damage_and_not_garbage(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    _write(path)
    with np.load(path) as archive:
        entries = dict(archive)
    entries["train_webp_000"] = entries["test_webp_000"]
    np.savez(path, **entries)
    with pytest.raises(UserError, match=r"a.npz is not a readable image pack"):
        read_packs([path]).train.pixels()


@pytest.mark.slow
def test_parts_of_different_sets_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "a.npz")
    write_pack(tmp_path / "b.npz", {"train": _images(3), "test": _images(3)}, ("x", "y", "z"), "")
    with pytest.raises(UserError, match="are not parts of one data set"):
        read_packs([tmp_path / "a.npz", tmp_path / "b.npz"])


def test_a_pack_that_reads_back_differently_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = packs._decode
    monkeypatch.setattr(packs, "_decode", lambda raw, side: original(raw, side) ^ 1)
    with pytest.raises(RuntimeError, match="does not read back"):
        _write(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", [0, 2, 6, 7])
def test_a_side_that_cannot_be_halved_twice_is_named(tmp_path: Path, side: int) -> None:
    message = rf"{side} pixels.* not a multiple of 4.*halve them twice; .*data.py pack --side"
    path = tmp_path / "a.npz"
    splits = {"train": _images(3, side), "test": _images(2, side)}
    with pytest.raises(UserError, match=message):
        write_pack(path, splits, NAMES, "")
    assert not list(tmp_path.iterdir())
    y = np.array([0, 1, 2])
    entries = {"train_n": 3, "train_y": y, "test_n": 0, "test_y": y[:0]}
    np.savez(path, side=side, class_names=np.array(NAMES), **entries)
    with pytest.raises(UserError, match=rf"a.npz .*{message}"):
        read_packs([path])


def test_a_pack_without_images_or_classes_is_named(tmp_path: Path) -> None:
    x, y = _images(0)
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match=r"a\.npz would hold no images; .*give"):
        write_pack(path, {"train": (x, y), "test": (x, y)}, NAMES, "")
    assert not list(tmp_path.iterdir())
    np.savez(path, side=8, class_names=np.array(NAMES), train_n=0, train_y=y, test_n=0, test_y=y)
    with pytest.raises(UserError, match=r"a\.npz holds no images; .*data.py pack"):
        read_packs([path])
    write_pack(path, {"train": _images(3), "test": _images(2)}, NAMES, "")
    with np.load(path) as archive:
        entries = {**archive, "class_names": np.array(["ant"]), "train_y": np.zeros(3, np.uint8)}
    np.savez(path, **{**entries, "test_y": np.zeros(2, np.uint8)})
    with pytest.raises(UserError, match=r"a\.npz has one class \(ant\); .*two classes"):
        read_packs([path])


def test_a_pack_wants_square_images(tmp_path: Path) -> None:
    x = np.zeros((2, 8, 9, 3), np.uint8)
    with pytest.raises(UserError, match="square RGB images"):
        write_pack(tmp_path / "a.npz", {"train": (x, np.zeros(2, int))}, NAMES, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"train_y": np.array([-1, 0, 1])}, "labels of train do not fit"),
        ({"train_y": np.array([0, 1])}, "labels of train do not fit"),
        ({"train_y": np.array([0, np.nan, 1])}, "train_y has kind float64"),
        ({"train_y": np.array([[0, 1, 2]])}, r"train_y has kind int64 and shape \(1, 3\)"),
        ({"train_y": np.array([0, None, 1])}, "train_y has an odd header"),
        ({"train_y": np.zeros(3, [("a", "u1")])}, "train_y has an odd header"),
        ({"train_n": np.int64(-3)}, "labels of train do not fit"),
        ({"train_n": np.array([3])}, r"train_n has kind int64 and shape \(1,\)"),
        ({"train_n": np.float64(3)}, "train_n has kind float64"),
        ({"train_lossless": np.ones(2, bool)}, "train_lossless does not fit"),
        ({"side": np.int64(10**9)}, "side 1000000000 and"),
        ({"side": np.array("8")}, "side has kind <U1"),
        ({"class_names": np.zeros(70_000, "U1")}, "70,000 classes"),
        ({"class_names": np.zeros(3)}, "class_names has kind float64"),
        (
            {"train_webp_000": np.frombuffer(b"%!PS-Adobe-3.0 EPSF-3.0", np.uint8)},
            "cannot identify",
        ),
        ({"train_webp_001": np.zeros(9, np.uint8)}, "2 sheets of 40 images do not hold 3"),
        ({"train_webp_002": np.zeros(9, np.uint8)}, "not numbered from 0"),
    ],
)
def test_odd_values_are_named(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    path = tmp_path / "a.npz"
    _write(path, 3, 2)
    with np.load(path) as archive:
        entries = {**archive, **change}
    np.savez(path, **entries)
    with pytest.raises(UserError, match=rf"a\.npz is not a readable image pack \(.*{reason}"):
        read_packs([path]).train.pixels()


def test_an_array_renamed_to_npz_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"a\.npz is not a readable image pack"):
        read_packs([tmp_path / "a.npz"])


def _sheet(width: int, height: int, form: str = "WEBP") -> np.ndarray:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, form, lossless=True)
    return np.frombuffer(stream.getvalue(), np.uint8)


@pytest.mark.parametrize(
    ("sheet", "count", "reason"),
    [
        (_sheet(12_000, 8_000), 3, "12000 x 8000 pixels does not hold"),
        (_sheet(321, 8), 3, "321 x 8 pixels does not hold"),
        (_sheet(8_000, 3_200), 400_000, "bytes of pixels are more than such a file holds"),
        (_sheet(320, 8, "PNG"), 3, "cannot identify"),
    ],
)
def test_sheets_are_bounded_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: np.ndarray, count: int, reason: str
) -> None:
    path = tmp_path / "a.npz"
    _write(path, 3, 2)
    with np.load(path) as archive:
        entries = {**archive, "train_webp_000": sheet, "train_n": count}
    np.savez_compressed(path, **{**entries, "train_y": np.zeros(count, np.uint8)})
    monkeypatch.setattr(packs, "_decode", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr(packs, "ALWAYS_PIXELS", 1 << 20)
    with pytest.raises(UserError, match=rf"not a readable image pack \(.*{reason}"):
        read_packs([path]).train.pixels()


def test_large_images_have_fewer_rows_on_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MOST_PIXELS", 2 * 40 * 8 * 8)
    splits = _write(tmp_path / "a.npz", 90, 2)
    with np.load(tmp_path / "a.npz") as archive:
        assert sum(key.startswith("train_webp") for key in archive.files) == 3
    source = read_packs([tmp_path / "a.npz"])
    assert np.array_equal(source.train.pixels(), splits["train"][0])


def test_images_that_no_sheet_can_hold_are_refused(tmp_path: Path) -> None:
    x = np.zeros((1, 412, 412, 3), np.uint8)
    with pytest.raises(UserError, match="of 412 pixels; a pack holds up to 408: give --side 408"):
        write_pack(tmp_path / "a.npz", {"train": (x, np.zeros(1, int))}, NAMES, "")
