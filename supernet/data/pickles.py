"""Reads publishers' pickles without running anything that a pickle could run.

A pickle may name any function and have it called. These files need numpy arrays and plain
containers only, so nothing else is admitted.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from supernet.errors import UserError

try:  # numpy 2 moved the module that the publishers' files name
    from numpy._core import multiarray as _multiarray
except ImportError:  # numpy 1
    from numpy.core import multiarray as _multiarray  # type: ignore[no-redef]


def _latin1(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does in pickles of bytes written for Python 2: latin1 and no other."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it names the encoding {encoding!r}")
    return text.encode("latin1")


_ADMITTED = {
    **{
        (module, name): getattr(_multiarray, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("_reconstruct", "scalar")
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("__builtin__", "bytearray"): bytearray,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not an array")
        return _ADMITTED[module, name]


def load_arrays(path: str | Path) -> dict[str, Any]:
    """Read a pickled dict of arrays, lists and strings; byte keys become text.

    Raises: UserError naming the file when it is missing, cut short, not a dict, or names anything
            but numpy arrays and plain containers.
    """
    try:
        with open(path, "rb") as stream:
            content = _ArraysOnly(stream, encoding="latin1").load()
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); unpack the publisher's archive again"
        ) from error
    # A damaged pickle raises nearly anything: the machine it drives meets nonsense.
    except Exception as error:
        raise UserError(
            f"{path} is not a pickle of arrays ({error}); unpack the publisher's archive again"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a dict; unpack the publisher's archive again")
    return {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}
