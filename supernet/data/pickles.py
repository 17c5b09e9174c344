"""Reads publishers' pickles without running anything that a pickle could run.

A pickle may name any function and have it called. These files have one known form, a dict of
arrays, lists and text, and nothing else is read (`supernet.data.pickle_reader`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from supernet.data.download import file_md5
from supernet.data.pickle_arrays import Array, Refused
from supernet.data.pickle_reader import Reader
from supernet.data.splits import LabelArray
from supernet.errors import UserError

MOST_BYTES = 200_000_000
"""The longest known file, CIFAR-100's training images, has 155 million."""
_MOST_LABEL = 2**31


def load_arrays(path: str | Path) -> dict[str, Any]:
    """Read a pickled dict of arrays, flat lists, numbers and strings; byte keys become text.

    Arrays share memory with the file's bytes and cannot be written to.

    Raises: UserError naming the file when it is missing, cut short, too long, not a dict, or holds
            anything but numeric arrays, numbers, text and lists of these.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); unpack the publisher's archive again"
        ) from error
    try:
        if len(data) > MOST_BYTES:
            raise Refused(f"it is longer than {MOST_BYTES:,} bytes")
        content = Reader(data).read()
    # Numbers and text that are no such things raise ValueError, of which Refused is one.
    except ValueError as error:
        raise UserError(
            f"{path} is not a pickle of arrays ({error}); unpack the publisher's archive again"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a dict; unpack the publisher's archive again")
    return {_key(key): _value(value, path) for key, value in content.items()}


def _key(key: str | bytes) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else key


def _value(value: Any, path: Path) -> Any:
    if isinstance(value, Array) and value.value is not None:
        return value.value
    if not isinstance(value, list | int | float | str | bytes | None):
        raise UserError(
            f"{path} is not a pickle of arrays (a value is neither an array nor a list nor text);"
            " unpack the publisher's archive again"
        )
    return value


def whole_numbers(value: Any) -> LabelArray | None:
    """A flat list or array of whole numbers below 2^31 as int64; None for anything else."""
    if isinstance(value, list):
        if not all(type(number) is int and abs(number) < _MOST_LABEL for number in value):
            return None
        return np.array(value, dtype=np.int64)
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iu":
        return None
    if not (np.abs(value.astype(np.float64)) < _MOST_LABEL).all():
        return None
    return value.astype(np.int64)


def refuse_changed(folder: Path, md5s: Mapping[str, str], source: str) -> None:
    """Raise a UserError unless the files in `folder` have these MD5s; `source`: what to unpack."""
    changed = [name for name, md5 in md5s.items() if file_md5(folder / name) != md5]
    if changed:
        raise UserError(
            f"{folder} has other files than the publisher's (the MD5 differs of"
            f" {', '.join(changed)}); unpack {source} there again, or rename the folder to use"
            " packs"
        )
