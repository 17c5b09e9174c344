"""Reads the opcodes of a pickle that holds numbers, text, flat lists and arrays. Runs nothing.

Only the opcodes of OPCODES are known, and none of them calls anything: the few calls that files of
arrays make are recognised by name and done by `supernet.data.pickle_arrays`. The time
and the memory that this takes grow with the file's length and not with what the file claims: a size
is compared with what is left of the file, the memo is a dictionary, a list holds numbers and text
and no other list, and a key is text.
"""

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

from supernet.data.pickle_arrays import NAMES, Array, Dtype, Name, Refused, scalar

MOST_OPCODES = 2_000_000
"""The longest known file has 130,000 labels and some 300,000 opcodes."""
MOST_DIGITS = 40
"""Characters of a number that is written out."""

_ITEMS = (int, float, str, bytes, type(None))
_MARK = object()


class Reader:
    """The machine that a pickle drives: a stack, a memo, and the bytes that are left."""

    names: Mapping[tuple[str, str], str] = NAMES
    """What it may name."""
    keys: tuple[type, ...] = (str, bytes)
    """What the keys of a dict may be; one of others is `odd_key`."""
    odd_key = "not text"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def read(self) -> Any:
        """What the pickle holds; arrays are `Array`.

        Raises: Refused for anything that files of arrays do not have.
        """
        for _ in range(MOST_OPCODES):
            code = self._take(1)
            if code == b".":
                return self._pop()
            step = self._step(code)
            if step is None:
                raise Refused(f"it has the opcode {code!r}")
            step(self)
        raise Refused(f"it has more than {MOST_OPCODES:,} opcodes")

    def _step(self, code: bytes) -> "Callable[[Any], None] | None":
        return OPCODES.get(code)

    # Bytes

    def _take(self, size: int) -> bytes:
        start, self._place = self._place, self._place + size
        if self._place > len(self._data):
            raise Refused("it is cut short")
        return self._data[start : self._place]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _sized(self, form: str) -> bytes:
        size = self._number(form)
        if not 0 <= size <= len(self._data) - self._place:
            raise Refused(f"it claims {size} bytes more than it has")
        return self._take(size)

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._place)
        if end < 0:
            raise Refused("it is cut short")
        return self._take(end + 1 - self._place)[:-1]

    def _digits(self) -> str:
        line = self._line()
        if len(line) > MOST_DIGITS:
            raise Refused("it has a number of too many digits")
        return line.decode("ascii")

    # Stack and memo

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise Refused("its stack is empty")
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise Refused(f"its stack has no {kind.__name__}")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while place >= 0 and self._stack[place] is not _MARK:
            place -= 1
        if place < 0:
            raise Refused("its stack has no mark")
        found = self._stack[place + 1 :]
        del self._stack[place:]
        return found

    def push(self, value: Any) -> None:
        """Lay a value on the stack."""
        self._stack.append(value)

    def remember(self, number: int) -> None:
        """Keep the top of the stack under a number."""
        value = self._pop()
        self._memo[number] = value
        self.push(value)

    def remember_next(self) -> None:
        """Keep the top of the stack under the next number."""
        self.remember(len(self._memo))

    def recall(self, number: int) -> None:
        """Push what was kept under a number."""
        if number not in self._memo:
            raise Refused(f"it recalls {number}, which it has not kept")
        self.push(self._memo[number])

    # Containers

    def tuple_of(self, size: int) -> None:
        """Push a tuple of the last `size` values."""
        self.push(tuple(reversed([self._pop() for _ in range(size)])))

    def marked_tuple(self) -> None:
        """Push a tuple of the values since the mark."""
        self.push(tuple(self._since_mark()))

    def marked_list(self) -> None:
        """Push a list of the values since the mark."""
        values = self._since_mark()
        self.push([])
        self._extend(values)

    def append(self) -> None:
        """Add one value to a list."""
        value = self._pop()
        self._extend([value])

    def appends(self) -> None:
        """Add the values since the mark to a list."""
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        if not all(isinstance(value, _ITEMS) for value in values):
            raise Refused("a list holds something else than numbers and text")
        self._top(list).extend(values)

    def marked_dict(self) -> None:
        """Push a dict of the keys and values since the mark."""
        pairs = self._since_mark()
        self.push({})
        self._update(pairs)

    def set_item(self) -> None:
        """Set one item of a dict."""
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def set_items(self) -> None:
        """Set the items since the mark."""
        self._update(self._since_mark())

    def _update(self, pairs: list[Any]) -> None:
        keys = pairs[::2]
        if len(pairs) % 2 or not all(isinstance(key, self.keys) for key in keys):
            raise Refused(f"a dict has a key that is {self.odd_key}")
        self._top(dict).update(zip(keys, pairs[1::2], strict=True))

    # Names and what is done with them

    def name(self) -> None:
        """Push a name of NAMES that is written in two lines."""
        module, name = self._line(), self._line()
        self._named(module.decode("latin1"), name.decode("latin1"))

    def stacked_name(self) -> None:
        """Push a name of NAMES that lies on the stack."""
        name, module = self._pop(), self._pop()
        self._named(module, name)

    def _named(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("it has a name that is not text")
        if (module, name) not in self.names:
            raise Refused(f"it names {module[:40]}.{name[:40]}, which no such file does")
        self.push(Name(self.names[module, name]))

    def call(self) -> None:
        """Do what a call of a name would do."""
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise Refused("it calls something that is not a name")
        calls: dict[str, Callable[[tuple[Any, ...]], Any]] = {
            "dtype": Dtype,
            "_reconstruct": Array,
            "scalar": self._scalar,
            "encode": self._encoded,
            "bytes": _no_bytes,
        }
        if called.name not in calls:
            raise Refused(f"it calls {called.name}")
        self.push(calls[called.name](arguments))

    def build(self) -> None:
        """Give a dtype or an array its state."""
        state, target = self._pop(), self._pop()
        if not isinstance(target, Dtype | Array):
            raise Refused(f"it sets the state of a {type(target).__name__}")
        if isinstance(target, Array) and isinstance(state, tuple) and state:
            state = (*state[:-1], self._as_bytes(state[-1]))
        target.set_state(state)
        self.push(target)

    def _scalar(self, arguments: tuple[Any, ...]) -> Any:
        return scalar((*arguments[:-1], *(self._as_bytes(raw) for raw in arguments[-1:])))

    def _encoded(self, arguments: tuple[Any, ...]) -> bytes:
        """`_codecs.encode` in pickles of bytes for Python 2: latin1 and no other."""
        if len(arguments) != 2 or arguments[1] not in ("latin1", "latin-1"):
            raise Refused("it names another encoding than latin1")
        raw = self._as_bytes(arguments[0])
        if not isinstance(raw, bytes):
            raise Refused("it encodes something that is not text")
        return raw

    def _as_bytes(self, value: Any) -> Any:
        """Text of Python 2 as bytes; all of it together is no longer than the file."""
        if not isinstance(value, str):
            return value
        self._copied += len(value)
        if self._copied > len(self._data):
            raise Refused("it uses one text as bytes again and again")
        return value.encode("latin1")

    # Values written out

    def text_number(self) -> None:
        """Push a whole number, or 00 and 01 for false and true."""
        digits = self._digits()
        if digits in ("00", "01"):
            self.push(digits == "01")
        else:
            self.push(int(digits.removesuffix("L")))

    def text_float(self) -> None:
        """Push a float."""
        self.push(float(self._digits()))

    def quoted(self) -> None:
        """Push the text between quotes."""
        line = self._line().strip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise Refused("it has a text without quotes")
        self.push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))  # type: ignore[attr-defined]

    def unicode_line(self) -> None:
        """Push a line of unicode."""
        self.push(self._line().decode("raw-unicode-escape"))

    def latin1(self, form: str) -> None:
        """Push text of Python 2 after its length."""
        self.push(self._sized(form).decode("latin1"))

    def utf8(self, form: str) -> None:
        """Push text after its length."""
        self.push(self._sized(form).decode("utf-8"))

    def raw(self, form: str) -> None:
        """Push bytes after their length."""
        self.push(self._sized(form))

    def number(self, form: str) -> None:
        """Push a number of fixed width."""
        self.push(self._number(form))

    def long(self) -> None:
        """Push a whole number of up to 255 bytes."""
        self.push(int.from_bytes(self._sized("<B"), "little", signed=True))

    def protocol(self) -> None:
        """Pass over the number of the protocol."""
        self._number("<B")

    def frame(self) -> None:
        """Pass over the length of a frame."""
        if self._number("<Q") > len(self._data) - self._place:
            raise Refused("it claims a frame that is longer than the file")

    def recall_line(self) -> None:
        """Push what was kept under a number that is written out."""
        self.recall(int(self._digits()))

    def remember_line(self) -> None:
        """Keep the top of the stack under a number that is written out."""
        self.remember(int(self._digits()))


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    """`bytes()`, which is how Python 3 writes empty bytes for Python 2."""
    if arguments:
        raise Refused("it makes bytes of something")
    return b""


OPCODES: dict[bytes, Callable[[Reader], None]] = {
    b"\x80": Reader.protocol, b"\x95": Reader.frame, b"(": lambda r: r.push(_MARK),
    b"N": lambda r: r.push(None), b"\x88": lambda r: r.push(True), b"\x89": lambda r: r.push(False),
    b"I": Reader.text_number, b"L": Reader.text_number, b"F": Reader.text_float,
    b"J": lambda r: r.number("<i"), b"K": lambda r: r.number("<B"), b"M": lambda r: r.number("<H"),
    b"G": lambda r: r.number(">d"), b"\x8a": Reader.long,
    b"S": Reader.quoted, b"V": Reader.unicode_line,
    b"T": lambda r: r.latin1("<i"), b"U": lambda r: r.latin1("<B"),
    b"X": lambda r: r.utf8("<I"), b"\x8c": lambda r: r.utf8("<B"), b"\x8d": lambda r: r.utf8("<Q"),
    b"B": lambda r: r.raw("<I"), b"C": lambda r: r.raw("<B"), b"\x8e": lambda r: r.raw("<Q"),
    b"]": lambda r: r.push([]), b"l": Reader.marked_list,
    b"a": Reader.append, b"e": Reader.appends,
    b"}": lambda r: r.push({}), b"d": Reader.marked_dict,
    b"s": Reader.set_item, b"u": Reader.set_items,
    b")": lambda r: r.push(()), b"t": Reader.marked_tuple,
    b"\x85": lambda r: r.tuple_of(1), b"\x86": lambda r: r.tuple_of(2),
    b"\x87": lambda r: r.tuple_of(3),
    b"p": Reader.remember_line, b"q": lambda r: r.remember(r._number("<B")),
    b"r": lambda r: r.remember(r._number("<I")), b"\x94": Reader.remember_next,
    b"g": Reader.recall_line, b"h": lambda r: r.recall(r._number("<B")),
    b"j": lambda r: r.recall(r._number("<I")),
    b"c": Reader.name, b"\x93": Reader.stacked_name,
    b"R": lambda r: r.call(), b"b": lambda r: r.build(),
}  # fmt: skip
"""What an opcode does. The opcodes that call anything else, extend or subclass are not here."""
