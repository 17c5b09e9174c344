"""Damages good files in ways that hypothesis can make smaller: edits of bytes, and of JSON values.

The functions that apply an edit are plain, so that a case that once failed can be written down.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

ByteEdit = tuple[float, str, bytes]
"""(place in the file from 0 to 1, what happens there, the bytes that it takes)."""
ValueEdit = tuple[int, str, Any]
"""(which value of a JSON file, counted in order, what happens to it, the value that it takes)."""

BYTE_ACTIONS = ("overwrite", "insert", "delete", "repeat", "cut")
VALUE_ACTIONS = ("replace", "delete", "nest", "rename")
TELLING = [
    b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"(" * 9, b"[" * 9,
    b"999999999999", b"-1", b"NaN", b"../../x", b"\n",
]  # fmt: skip
"""Bytes that turn up in sizes, headers and numbers."""
ODD_VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, 1e308, -0.5, "", "x", "../../x", "\x00", "\ud800",
    "9" * 400, [], [[]], {}, {"": 0}, [0] * 100, {"a": {"b": []}},
]  # fmt: skip


def edit_bytes(data: bytes, edits: list[ByteEdit]) -> bytes:
    """The file after all edits."""
    for where, action, given in edits:
        place = int(where * len(data))
        if action == "overwrite":
            data = data[:place] + given + data[place + len(given) :]
        elif action == "insert":
            data = data[:place] + given + data[place:]
        elif action == "delete":
            data = data[:place] + data[place + max(1, len(given)) :]
        elif action == "repeat":
            data = data[:place] + data[place : place + 64] * 8 + data[place:]
        else:
            data = data[:place]
    return data


def edit_values(value: Any, edits: list[ValueEdit]) -> Any:
    """A JSON value after all edits, each of one of its parts. What no edit meets is not copied."""
    for number, action, given in edits:
        places = _count(value)
        if not places:
            return given
        value = _edited(value, list(_path(value, number % places)), action, given)
    return value


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _count(value: Any) -> int:
    """How many parts a value has, in all of its levels."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return len(value) + sum(_count(item) for item in inner if isinstance(item, dict | list))


def _path(value: Any, number: int) -> Iterator[Any]:
    """The keys that lead to the part of this number: parts count before what is in them."""
    for key, item in _items(value):
        if number == 0:
            yield key
            return
        number -= 1
        below = _count(item)
        if number < below:
            yield key
            yield from _path(item, number)
            return
        number -= below


def _edited(value: Any, path: list[Any], action: str, given: Any) -> Any:
    value, (key, *inner) = copy.copy(value), path
    if inner:
        value[key] = _edited(value[key], inner, action, given)
    elif action == "replace":
        value[key] = given
    elif action == "delete":
        del value[key]
    elif action == "nest":
        value[key] = [value[key]]
    elif isinstance(value, dict):
        value[str(given)] = value.pop(key)
    return value


byte_edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(BYTE_ACTIONS),
        st.binary(min_size=1, max_size=8) | st.sampled_from(TELLING),
    ),
    min_size=1,
    max_size=4,
)
value_edits = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.sampled_from(VALUE_ACTIONS),
        st.sampled_from(ODD_VALUES) | st.integers() | st.text(max_size=8),
    ),
    min_size=1,
    max_size=3,
)


def as_json(value: Any) -> bytes:
    """The bytes of a JSON file, lone surrogates and all."""
    return json.dumps(value).encode()
