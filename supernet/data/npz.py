"""Reads plain arrays out of an .npz file, and believes nothing that the file says of their size.

numpy's own reader reserves what a header claims and evaluates the header as Python. Here a header
has the one form in which numpy writes it, an array has exactly the bytes of its shape, and the
memory for it is bounded by the length of the file.
"""

import math
import re
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALWAYS = 16 << 20
"""Bytes that an array may have however short the file is."""
GROWTH = 200
"""Times that the content of a file may be larger than the file: labels of 1,000 images of one class
shrink to a hundredth."""
DAMAGE = (
    OSError, KeyError, ValueError, TypeError, EOFError, OverflowError, NotImplementedError,
    RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged file may raise."""

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][bifuU]\d{1,9})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,15}(?:, ?\d{1,15})*)?,?)\), \} *\n"
)


class PlainArchive:
    """An open .npz file: a context manager with the names of its arrays in `keys`."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises: one of DAMAGE."""
        self._zip = zipfile.ZipFile(path)
        self._most = ALWAYS + GROWTH * path.stat().st_size
        self.keys = [name.removesuffix(".npy") for name in self._zip.namelist()]

    def __enter__(self) -> "PlainArchive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def array(self, key: str, kinds: str, ndim: int) -> NDArray[Any]:
        """The array with this name, of one of these kinds of dtype (b, i, f, u, U) and axes.

        It cannot be written to. Raises: one of DAMAGE.
        """
        info = self._zip.getinfo(f"{key}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{key} is compressed in another way than numpy's")
        if info.file_size > self._most:
            raise ValueError(f"{key} claims {info.file_size:,} bytes, more than such a file holds")
        with self._zip.open(info) as stream:
            data = stream.read(self._most + 1)
        array = _parse(key, data)
        if array.dtype.kind not in kinds or array.ndim != ndim:
            raise ValueError(f"{key} has kind {array.dtype} and shape {array.shape}")
        return array


def _parse(key: str, data: bytes) -> NDArray[Any]:
    if data[:6] != _MAGIC or data[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError(f"{key} is not an array")
    wide = 2 if data[6] == 1 else 4
    start = 8 + wide
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start:end])
    if header is None:
        raise ValueError(f"{key} has an odd header")
    dtype: np.dtype[Any] = np.dtype(header[1].decode("ascii"))
    shape = tuple(int(number) for number in header[3].split(b",") if number.strip())
    count = math.prod(shape)
    if dtype.itemsize == 0 and count:
        raise ValueError(f"{key} has values without bytes")
    if count * dtype.itemsize != len(data) - end:
        raise ValueError(f"{key} has another number of bytes than its shape {shape}")
    if not count:
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype, offset=end).reshape(
        shape, order="F" if header[2] == b"True" else "C"
    )
