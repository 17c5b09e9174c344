"""Compares the values of a file with the types that a program goes on to rely on.

A shape is a type; a text, which the value must be; a list of one shape, which every item has; a
dict of shapes by key, where keys that are not named may hold anything; or a tuple of shapes, of
which one is enough.

    require(record, {"step": int, "weights": [[float]], "note": (str, None)}, path)
"""

import math
from typing import Any

from supernet.errors import UserError

SHOWN = 60
"""Characters of a value that a message shows."""


def require(value: Any, shape: Any, where: object) -> None:
    """Raises: UserError naming the file (`where`) and the first place where a value has not its
    shape. A float may be a whole number and is finite; an int is not a bool and is below 2^63."""
    reason = misfit(value, shape)
    if reason is not None:
        raise UserError(
            f"{where} is not as this program writes it ({reason}); restore a copy, or start anew"
        )


def misfit(value: Any, shape: Any, place: str = "") -> str | None:
    """Where a value has not its shape, in words; None where all of it fits."""
    if isinstance(shape, tuple):
        found = [misfit(value, each, place) for each in shape]
        return None if None in found else found[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _words(place, "a list", value)
        found = [misfit(item, shape[0], f"{place}[{k}]") for k, item in enumerate(value)]
        return next((reason for reason in found if reason is not None), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _words(place, "an object", value)
        for key, each in shape.items():
            if key not in value:
                return f"{f'{place} has' if place else 'it has'} no {key}"
            reason = misfit(value[key], each, f"{place}.{key}" if place else key)
            if reason is not None:
                return reason
        return None
    if isinstance(shape, str):
        return None if value == shape else _words(place, shape, value)
    return None if _fits(value, shape) else _words(place, _NAMES[shape], value)


_NAMES = {
    int: "a whole number", float: "a finite number", str: "text", bool: "true or false",
    dict: "an object", None: "null",
}  # fmt: skip


def _fits(value: Any, kind: type | None) -> bool:
    if kind is None:
        return value is None
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
            return False
        return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
    return isinstance(value, kind)


def _words(place: str, wanted: str, value: Any) -> str:
    if isinstance(value, str):
        shown = repr(value[:SHOWN])
    elif isinstance(value, int) and abs(value) >= 10**SHOWN:
        shown = f"a number above 10^{SHOWN}"  # Python may refuse to write it out
    else:
        shown = repr(value) if isinstance(value, int | float | None) else type(value).__name__
    return f"{place or 'it'} is {shown}, not {wanted}"
