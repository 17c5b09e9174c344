"""Forms of one known picture, each of which must be read as it is seen, or refused by name."""

import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from supernet.data import picture as module
from supernet.data.picture import (
    DEEP,
    DIM,
    FRAMES,
    MOST_PIXELS,
    TRANSPARENT,
    read_picture,
    readable_formats,
)
from supernet.errors import UserError

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
"""(64, 64), 64 grey levels from 0 to 252."""
RGB = np.stack([RAMP, RAMP.T, 255 - RAMP], -1)


def _read(path: Path) -> np.ndarray:
    pixels, found = read_picture(path, 64)
    assert pixels.dtype == np.uint8 and pixels.shape == (64, 64, 3)
    assert found == frozenset()
    return pixels


def _grey(pixels: np.ndarray) -> np.ndarray:
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


LOSSLESS = ["a.png", "a.bmp", "a.dib", "a.tif", "a.ppm", "a.pnm", "a.tga"]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_types_are_read_to_the_bit(tmp_path: Path, name: str) -> None:
    Image.fromarray(RGB).save(tmp_path / name)
    assert np.array_equal(_read(tmp_path / name), RGB)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpe", "a.jfif", "a.webp", "a.jp2", "a.avif", "a.gif"])
def test_lossy_types_are_read(tmp_path: Path, name: str) -> None:
    formats = {s: f for f, suffixes in module.FORMATS.items() for s in suffixes}
    if formats[Path(name).suffix] not in readable_formats():
        pytest.skip(f"the Pillow here does not read {name}")
    Image.fromarray(RAMP).save(tmp_path / name, formats[Path(name).suffix])
    assert np.abs(_read(tmp_path / name).astype(int) - RAMP[..., None]).mean() < 4


def test_a_type_by_another_name_is_read(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", "BMP")
    assert np.array_equal(_read(tmp_path / "a.png"), RGB)


def _deep(path: Path) -> tuple[np.ndarray, frozenset[str]]:
    pixels, found = read_picture(path, 64)
    return _grey(pixels), found


def test_16_bit_grey_is_scaled_by_its_range(tmp_path: Path) -> None:
    wide = Image.fromarray(RAMP.astype(np.uint16) * 257)
    for name in ("a.png", "a.tif", "a.pgm", "a.jp2"):
        wide.save(tmp_path / name)
        pixels, found = _deep(tmp_path / name)
        assert np.array_equal(pixels, RAMP), name
        assert found == {DEEP}
    # 127.5 * 257 lies between these two.
    Image.fromarray(np.full((64, 64), 0x8000, np.uint16)).save(tmp_path / "half.png")
    Image.fromarray(np.full((64, 64), 0x7FFF, np.uint16)).save(tmp_path / "less.png")
    assert (_deep(tmp_path / "half.png")[0] == 128).all()
    assert (_deep(tmp_path / "less.png")[0] == 127).all()


def test_pgm_and_tiff_of_12_bits_are_scaled_by_theirs(tmp_path: Path) -> None:
    values = (RAMP.astype(np.uint32) * 4095 + 127) // 255
    header = b"P5\n64 64\n4095\n"
    (tmp_path / "a.pgm").write_bytes(header + values.astype(">u2").tobytes())
    assert np.array_equal(_deep(tmp_path / "a.pgm")[0], RAMP)
    (tmp_path / "a.tif").write_bytes(_tiff_of_12_bits(values))
    pixels, found = _deep(tmp_path / "a.tif")
    assert np.array_equal(pixels, RAMP) and found == {DEEP}


def _tiff_of_12_bits(values: np.ndarray) -> bytes:
    """A little-endian TIFF of one strip: two values in three bytes."""
    first, second = values.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1)
    strip = packed.astype(np.uint8).tobytes()
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, height), (279, len(strip))]  # fmt: skip
    entries = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little") for tag, value in tags
    )  # fmt: skip
    directory = len(tags).to_bytes(2, "little") + entries + bytes(4)
    return b"II*\0" + (8 + len(strip)).to_bytes(4, "little") + strip + directory


def test_16_bit_grey_whose_white_is_zero_is_turned(tmp_path: Path) -> None:
    wide = Image.fromarray((255 - RAMP).astype(np.uint16) * 257)
    wide.save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert np.array_equal(_deep(tmp_path / "a.tif")[0], RAMP)


def test_dark_16_bit_grey_is_remarked(tmp_path: Path) -> None:
    for most, expected in ((4095, {DEEP, DIM}), (4096, {DEEP})):
        values = np.zeros((64, 64), np.uint16)
        values[5, 5] = most
        Image.fromarray(values).save(tmp_path / "a.png")
        assert _deep(tmp_path / "a.png")[1] == expected


@pytest.mark.parametrize(
    ("dtype", "name", "kind"),
    [(np.float32, "a.tif", "floating-point"), (np.int32, "a.tif", "32-bit or signed")],
)
def test_values_without_a_known_range_are_refused(
    tmp_path: Path, dtype: type, name: str, kind: str
) -> None:
    Image.fromarray(RAMP.astype(dtype)).save(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name} has {kind} values, whose range is not known"):
        read_picture(tmp_path / name, 64)


def _half_hidden(mode: str) -> Image.Image:
    """Black on the left and hidden red on the right."""
    colours = np.zeros((64, 64, 4), np.uint8)
    colours[:, :32, 3] = 255
    colours[:, 32:, 0] = 255
    return Image.fromarray(colours).convert(mode)


def _palette() -> Image.Image:
    picture = Image.fromarray((np.arange(64) >= 32).astype(np.uint8)[None].repeat(64, 0), "P")
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.info["transparency"] = 1
    return picture


def _grey_with_a_hidden_value(dtype: type, value: int) -> Image.Image:
    values = np.zeros((64, 64), dtype)
    values[:, 32:] = value
    picture = Image.fromarray(values)
    picture.info["transparency"] = value
    return picture


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: _half_hidden("RGBA"), "a.png"),
        (lambda: _half_hidden("RGBA"), "a.tga"),
        (lambda: _half_hidden("LA"), "a.png"),
        (_palette, "a.png"),
        (_palette, "a.gif"),
        (lambda: _grey_with_a_hidden_value(np.uint8, 90), "a.png"),
        (lambda: _grey_with_a_hidden_value(np.uint16, 40000), "a.png"),
    ],
)
def test_transparent_parts_show_white(
    tmp_path: Path, make: Callable[[], Image.Image], name: str
) -> None:
    make().save(tmp_path / name)
    pixels, found = read_picture(tmp_path / name, 64)
    assert (pixels[:, :32] == 0).all() and (pixels[:, 32:] == 255).all()
    assert TRANSPARENT in found


def test_alpha_that_hides_nothing_changes_nothing(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([RGB, np.full_like(RAMP, 255)])).save(tmp_path / "a.png")
    assert np.array_equal(_read(tmp_path / "a.png"), RGB)


def test_half_transparent_parts_are_mixed_with_white(tmp_path: Path) -> None:
    colours = np.zeros((64, 64, 4), np.uint8)
    colours[..., 3] = 51  # a fifth of black on white
    Image.fromarray(colours).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png", 64)[0] == 204).all()


def _headed(width: int, height: int) -> bytes:
    """A PNG that says its size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, b"IDAT")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    turn = {1: RGB, 3: RGB[::-1, ::-1], 6: np.rot90(RGB, -1), 8: np.rot90(RGB)}
    expected = turn.get(orientation)
    if expected is None:
        with Image.open(tmp_path / "a.png") as picture:
            expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(_read(tmp_path / "a.png"), expected)


def test_of_several_frames_the_first_is_read(tmp_path: Path) -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    for name in ("a.tif", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        pixels, found = read_picture(tmp_path / name, 64)
        assert np.array_equal(pixels, RGB) and found == {FRAMES}, name


def test_no_other_decoder_is_started(tmp_path: Path) -> None:
    """PostScript would start Ghostscript; TGA's decoder takes nearly anything for a picture."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    Image.fromarray(RGB).save(tmp_path / "b.png", "TGA")
    for name in ("a.png", "b.png"):
        with pytest.raises(UserError, match=rf"{name} is not .*\(it holds none of PNG, JPEG, "):
            read_picture(tmp_path / name, 64)


def test_large_pictures_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(_headed(9000, MOST_PIXELS // 9000 + 1))
    (tmp_path / "c.png").write_bytes(_headed(100_000, 100_000))
    monkeypatch.setattr(ImageOps, "exif_transpose", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(UserError, match=r"a\.png has 9,000 x 8,889 pixels, and at most 80,000,000"):
        read_picture(tmp_path / "a.png", 64)
    with pytest.raises(UserError, match=r"c\.png has over 160,000,000 pixels, and at most 80,000,"):
        read_picture(tmp_path / "c.png", 64)
    with (tmp_path / "b.webp").open("wb") as stream:
        stream.truncate(module.MOST_BYTES + 1)  # a hole: no bytes are on the disk
    with pytest.raises(UserError, match=r"b\.webp is larger than 640,000,000 bytes"):
        read_picture(tmp_path / "b.webp", 64)


def test_threads_wait_for_room() -> None:
    bound, inside, most = module._Bound(10), [0], [0]

    def decode() -> None:
        for _ in range(50):
            with bound.taken(4):
                inside[0] += 4
                most[0] = max(most[0], inside[0])
                threading.Event().wait(0.0001)
                inside[0] -= 4

    threads = [threading.Thread(target=decode) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 8


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage, too
def test_damage_ends_in_a_sentence_or_a_picture(tmp_path: Path) -> None:
    """Whatever is changed in a file, nothing but a UserError is raised."""
    random = np.random.RandomState(0)
    alpha = Image.fromarray(np.dstack([RGB, RAMP])).resize((20, 16))
    whole = {}
    for name in ("a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tif", "a.ppm", "a.tga"):
        (alpha if name in ("a.png", "a.webp", "a.tga") else alpha.convert("RGB")).save(
            tmp_path / name
        )
        whole[name] = (tmp_path / name).read_bytes()
    refused = 0
    for name, data in whole.items():
        for _ in range(15):
            bytes_ = bytearray(data)
            for place in random.randint(0, min(len(data), 200), 3):
                bytes_[place] = random.choice([0, 1, 127, 128, 255])
            (tmp_path / name).write_bytes(bytes_[: random.choice([len(data), len(data) // 2])])
            try:
                read_picture(tmp_path / name, 8)
            except UserError as error:
                refused += 1
                assert str(error).startswith(str(tmp_path / name))
    assert 30 < refused < 120


def test_no_more_is_asked_of_a_file_than_it_has(tmp_path: Path) -> None:
    """A header may claim any length, and Python makes room for all that is asked for."""
    path = tmp_path / "a.jp2"
    path.write_bytes(b"0123456789")
    with pytest.raises((MemoryError, OverflowError)), path.open("rb") as stream:
        stream.read(1 << 62)
    with module._opened(path) as stream:
        assert stream.read(4) == b"0123" and stream.read(1 << 62) == b"456789"
        assert stream.read() == b"" and stream.seek(2) == 2
        assert stream.read(-1) == b"23456789"
