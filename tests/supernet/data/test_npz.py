import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from supernet.data import npz
from supernet.data.npz import DAMAGE, PlainArchive


def _entry(path: Path, header: bytes, body: bytes = b"", **options: int) -> Path:
    """An .npz with one array `x` of version 1 with this header."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body
        archive.writestr("x.npy", raw)
    return path


def _header(descr: str = "'<u2'", shape: str = "(2,)", fortran: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"
    return text.encode()


@pytest.mark.parametrize(
    "x",
    [
        np.arange(6, dtype=np.uint8),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array(["ant", "b"]),
        np.array(1.5),
        np.array(["", ""]),
        np.zeros((0, 3), np.int64),
        np.array([True, False]),
    ],
)
def test_what_numpy_writes_is_read(tmp_path: Path, x: np.ndarray) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=x)
    with PlainArchive(tmp_path / "a.npz") as archive:
        read = archive.array("x", x.dtype.kind, x.ndim)
    assert read.dtype == x.dtype and np.array_equal(read, x)


@pytest.mark.parametrize(
    ("header", "body", "reason"),
    [
        (_header(), b"\1\0\2", "another number of bytes"),
        (_header(shape="(2, 999999999999999)"), b"\1\0\2\0", "another number of bytes"),
        (_header(shape="(-2,)"), b"", "odd header"),
        (_header(descr="'|O'"), b"", "odd header"),
        (_header(descr="'<u3'"), b"123456", "data type '<u3' not understood"),
        (_header(descr="[('a', '<u2')]"), b"", "odd header"),
        (_header(descr="'<U0'", shape="(999999999999,)"), b"", "values without bytes"),
        (_header(shape="(" * 200), b"", "odd header"),
        (_header(shape="(__import__('os'),)"), b"", "odd header"),
        (b"", b"", "odd header"),
    ],
)
def test_a_header_is_not_believed(tmp_path: Path, header: bytes, body: bytes, reason: str) -> None:
    with (
        PlainArchive(_entry(tmp_path / "a.npz", header, body)) as archive,
        pytest.raises((ValueError, TypeError), match=reason),
    ):
        archive.array("x", "uU", 1)


def test_the_right_header_is_right(tmp_path: Path) -> None:
    with PlainArchive(_entry(tmp_path / "a.npz", _header(), b"\1\0\2\0")) as archive:
        assert archive.array("x", "u", 1).tolist() == [1, 2]


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "ALWAYS", 1000)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10_000_000, np.uint8))
    with (
        PlainArchive(tmp_path / "a.npz") as archive,
        pytest.raises(ValueError, match="claims 10,000,128 bytes, more than such a file holds"),
    ):
        archive.array("x", "u", 1)


def test_a_bomb_that_claims_less_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The central directory says 128 bytes: no more than these are unpacked."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(10_000_000, np.uint8))
    raw = path.read_bytes()
    path.write_bytes(raw.replace((10_000_128).to_bytes(4, "little"), (128).to_bytes(4, "little")))
    with PlainArchive(path) as archive, pytest.raises(DAMAGE):
        archive.array("x", "u", 1)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_compression_are_refused(tmp_path: Path, method: int) -> None:
    path = _entry(tmp_path / "a.npz", _header(), b"\1\0\2\0", compression=method)
    with PlainArchive(path) as archive, pytest.raises(ValueError, match="in another way"):
        archive.array("x", "u", 1)


def test_what_is_no_zip_is_damage(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    with pytest.raises(DAMAGE):
        PlainArchive(tmp_path / "a.npz")
