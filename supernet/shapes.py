"""Compares the values of a file with the types and bounds that a program goes on to rely on.

A shape is a type; a text, which the value must be; a list of one shape, which every item has; a
dict of shapes by key, where keys that are not named may hold anything; a tuple of shapes, of which
one is enough; or one of the classes below.

    require(record, {"step": int, "weights": [[float]], "note": Maybe((str, None))}, path)
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from supernet.errors import UserError

SHOWN = 60
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Maybe:
    """The value of a key that may be missing."""

    shape: Any


@dataclass(frozen=True)
class Each:
    """An object whose values all have one shape, and whose keys are among `keys` where given."""

    shape: Any
    keys: Collection[str] | None = None


@dataclass(frozen=True)
class Items:
    """A list of `least` to `most` items of one shape."""

    shape: Any
    least: int = 0
    most: float = math.inf


@dataclass(frozen=True)
class Within:
    """A number of a kind, int or float, from `low` to `high`."""

    kind: type
    low: float
    high: float


@dataclass(frozen=True)
class Like:
    """A text that a pattern matches whole; `words` name such a text."""

    pattern: str
    words: str


def require(value: Any, shape: Any, where: object) -> None:
    """Raises: UserError naming the file (`where`) and the first place where a value has not its
    shape. A float may be a whole number and is finite; an int is not a bool and is below 2^63."""
    reason = misfit(value, shape)
    if reason is not None:
        raise unlike(where, reason)


def unlike(where: object, reason: str) -> UserError:
    """The error of a file (`where`) that is not as this program writes it."""
    return UserError(
        f"{where} is not as this program writes it ({reason}); restore a copy, or start anew"
    )


def misfit(value: Any, shape: Any, place: str = "") -> str | None:
    """Where a value has not its shape, in words; None where all of it fits."""
    if isinstance(shape, tuple):
        found = [misfit(value, each, place) for each in shape]
        return None if None in found else found[0]
    if isinstance(shape, list | Items):
        return _in_list(value, shape if isinstance(shape, Items) else Items(shape[0]), place)
    if isinstance(shape, dict | Each):
        return _in_object(value, shape, place)
    if isinstance(shape, Maybe):
        return misfit(value, shape.shape, place)
    if isinstance(shape, Within):
        fits = _fits(value, shape.kind) and shape.low <= value <= shape.high
        wanted = f"{_NAMES[shape.kind]} from {shape.low:,} to {shape.high:,}"
        return None if fits else _words(place, wanted, value)
    if isinstance(shape, Like):
        fits = isinstance(value, str) and re.fullmatch(shape.pattern, value) is not None
        return None if fits else _words(place, shape.words, value)
    if isinstance(shape, str):
        return None if value == shape else _words(place, shape, value)
    return None if _fits(value, shape) else _words(place, _NAMES[shape], value)


def _in_list(value: Any, shape: Items, place: str) -> str | None:
    if not isinstance(value, list):
        return _words(place, "a list", value)
    if not shape.least <= len(value) <= shape.most:
        wanted = f"{shape.least}" if shape.least == shape.most else f"at least {shape.least}"
        if len(value) > shape.most != shape.least:
            wanted = f"at most {shape.most}"
        return f"{place or 'it'} has {len(value)} items, not {wanted}"
    found = (misfit(item, shape.shape, f"{place}[{k}]") for k, item in enumerate(value))
    return next((reason for reason in found if reason is not None), None)


def _in_object(value: Any, shape: "dict[str, Any] | Each", place: str) -> str | None:
    if not isinstance(value, dict):
        return _words(place, "an object", value)
    if isinstance(shape, Each):
        if shape.keys is not None and not set(value) <= set(shape.keys):
            other = next(key for key in value if key not in shape.keys)
            return f"{place or 'it'} has a key {_shown(other)}, which is none of its own"
        shape = dict.fromkeys(value, shape.shape)
    for key, each in shape.items():
        if key not in value:
            if isinstance(each, Maybe):
                continue
            return f"{f'{place} has' if place else 'it has'} no {_name(key)}"
        reason = misfit(value[key], each, f"{place}.{_name(key)}" if place else _name(key))
        if reason is not None:
            return reason
    return None


_NAMES: dict[Any, str] = {
    int: "a whole number", float: "a finite number", str: "text", bool: "true or false",
    dict: "an object", list: "a list", None: "null",
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
    return f"{place or 'it'} is {_shown(value)}, not {wanted}"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:SHOWN])
    if isinstance(value, int) and abs(value) >= 10**SHOWN:
        return f"a number above 10^{SHOWN}"  # Python may refuse to write it out
    return repr(value) if isinstance(value, int | float | None) else type(value).__name__


def _name(key: str) -> str:
    """A key of a file, for a message."""
    return key if re.fullmatch(r"\w{1,60}", key, re.ASCII) else repr(key[:SHOWN])
