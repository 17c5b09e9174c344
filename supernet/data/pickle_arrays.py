"""Stands in for numpy while a pickle is read: what a file may say of arrays, checked before use.

A pickle builds an array by calls of numpy and by states that it sets on the results. Set on a real
dtype, a crafted state makes numpy read outside its memory. The objects here only record what the
file says, compare it with a short list, and give numpy bytes of the right length.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODES = frozenset({"b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"})
"""The kinds of numbers that an array or scalar may have; no objects, no text, no records."""
MOST_AXES = 8
MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
NAMES = {
    **{(module, name): name for module in MODULES for name in ("_reconstruct", "scalar")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    **{(module, "bytes"): "bytes" for module in ("__builtin__", "builtins")},
}
"""What a file may name; nothing of it is ever imported or called."""


class Refused(ValueError):
    """The file says something that files of arrays do not say."""


class Name:
    """One of NAMES, as it lies on the stack."""

    def __init__(self, name: str) -> None:
        self.name = name


class Dtype:
    """A dtype: a code of CODES, and its byte order once the state has come."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        code = arguments[0] if arguments else None
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or code not in CODES:
            raise Refused(f"it has numbers of kind {_shown(code)}")
        self.code = code
        self.order: str | None = None

    def set_state(self, state: Any) -> None:
        """(version, byte order, no subarray, no names, no fields, ...)."""
        if not isinstance(state, tuple) or not 5 <= len(state) <= 9 or self.order is not None:
            raise Refused("a dtype has an odd state")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if not isinstance(order, str) or order not in ("<", ">", "|", "="):
            raise Refused("a dtype has an odd byte order")
        if any(item is not None for item in state[2:5]):
            raise Refused("a dtype has fields")
        self.order = order

    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype."""
        return np.dtype((self.order or "=") + self.code)


class Array:
    """An array: empty as `_reconstruct` makes it, whole once its state has come."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        kind = arguments[0] if len(arguments) == 3 else None
        if not isinstance(kind, Name) or kind.name != "ndarray":
            raise Refused("it reconstructs something that is not an array")
        self.value: NDArray[Any] | None = None

    def set_state(self, state: Any) -> None:
        """(version, shape, dtype, whether in Fortran's order, the bytes)."""
        if not isinstance(state, tuple) or len(state) != 5 or self.value is not None:
            raise Refused("an array has an odd state")
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, Dtype) or not isinstance(raw, bytes):
            raise Refused("an array has no bytes of a dtype")
        if not isinstance(shape, tuple) or len(shape) > MOST_AXES:
            raise Refused("an array has an odd shape")
        if not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            raise Refused("an array has an odd shape")
        kind = dtype.dtype()
        if math.prod(shape) * kind.itemsize != len(raw):
            raise Refused(f"an array's {len(raw)} bytes do not fill its shape")
        self.value = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran is True else "C")


def scalar(arguments: tuple[Any, ...]) -> int | float | bool:
    """The number that `scalar(dtype, bytes)` is."""
    if len(arguments) != 2 or not isinstance(arguments[0], Dtype):
        raise Refused("a number has no dtype")
    kind, raw = arguments[0].dtype(), arguments[1]
    if not isinstance(raw, bytes) or len(raw) != kind.itemsize:
        raise Refused("a number's bytes do not fill its dtype")
    number: int | float | bool = np.frombuffer(raw, kind)[0].item()
    return number


def _shown(value: object) -> str:
    """A text cut to a length that a message can hold; of anything else its type."""
    return repr(value[:40]) if isinstance(value, str) else type(value).__name__
