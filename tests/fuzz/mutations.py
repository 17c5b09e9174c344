"""Damages good files in ways that hypothesis can make smaller: edits of bytes, and of JSON values.

The functions that apply an edit are plain, so that a case that once failed can be written down.
"""

import copy
import json
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
    """A JSON value after all edits, each of one of its parts."""
    value = copy.deepcopy(value)
    for number, action, given in edits:
        places = list(_places(value))
        if not places:
            return given
        container, key = places[number % len(places)]
        if action == "replace":
            container[key] = given
        elif action == "delete":
            del container[key]
        elif action == "nest":
            container[key] = [container[key]]
        elif isinstance(container, dict):
            container[str(given)] = container.pop(key)
    return value


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items) if isinstance(value, dict | list) else []:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


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
