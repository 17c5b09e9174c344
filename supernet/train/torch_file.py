"""Reads what torch.save wrote, tensors and plain values, without torch's unpickler.

Even restricted to `weights_only`, that one calls what a file names, so that an archive of 800 bytes
takes as much memory as it asks for, and compares no checksums. Here the archive's records are
compared with theirs, the pickle in it drives the machine of `supernet.data.pickle_reader`, and
tensors are made of records whose length fits.
"""

import math
import os
import sys
import zipfile
from collections.abc import Callable, Iterable
from typing import IO, Any

import torch
from torch import Tensor

from supernet.data.pickle_arrays import Name, Refused
from supernet.data.pickle_reader import Reader

STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip
NAMES = {
    ("collections", "OrderedDict"): "OrderedDict",
    ("torch._utils", "_rebuild_tensor_v2"): "tensor",
    **{("torch", name): name for name in STORAGES},
}
"""What a file may name; nothing of it is imported or called."""
MOST_RECORDS = 100_000
MOST_DEPTH = 20
"""Levels of dictionaries and lists: a checkpoint has eight."""
MOST_AXES = 16


def load_torch(stream: IO[bytes]) -> Any:
    """The value that torch.save wrote into a file: dictionaries, lists, tuples, numbers, text and
    tensors on the CPU. An OrderedDict comes as a dictionary.

    Raises: ValueError that says what is wrong with the file, as a part of a sentence.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            return _Values(_records(archive, size)).read()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OverflowError) as error:
        raise Refused(str(error)[:200] or type(error).__name__) from error


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    """The archive's records by name, without the folder in which they all lie."""
    entries = archive.infolist()
    if len(entries) > MOST_RECORDS:
        raise Refused(f"it has {len(entries):,} records")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise Refused("its records are compressed")
    if sum(entry.file_size for entry in entries) > size:
        raise Refused("its records are larger than the file")
    records = {}
    for entry in entries:
        name = entry.filename.partition("/")[2]
        if name in records:
            raise Refused(f"it has the record {name[:60]!r} twice")
        records[name] = archive.read(entry)  # compares the checksum
    if "data.pkl" not in records:
        raise Refused("it is not a file of torch.save")
    if records.get("byteorder", sys.byteorder.encode()) != sys.byteorder.encode():
        raise Refused("its numbers have another byte order than those of this machine")
    return records


class _Values(Reader):
    """The machine that makes tensors of records."""

    names = NAMES
    keys = (str, int)
    odd_key = "neither text nor a number"

    def __init__(self, records: dict[str, bytes]) -> None:
        super().__init__(records["data.pkl"])
        self._records = records
        self._storages: dict[str, Tensor] = {}

    def read(self) -> Any:
        """What the pickle holds.

        Raises: Refused for anything that files of tensors do not have.
        """
        value = super().read()
        if _is_deep(value):
            raise Refused(f"it is nested more than {MOST_DEPTH} levels deep")
        return value

    def _step(self, code: bytes) -> Callable[[Any], None] | None:
        return _Values.storage if code == b"Q" else super()._step(code)

    def _extend(self, values: list[Any]) -> None:
        self._top(list).extend(values)

    def call(self) -> None:
        """Make a dictionary or a tensor."""
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise Refused("it calls something that is not a name")
        if called.name == "OrderedDict" and not arguments:
            self.push({})
        elif called.name == "tensor":
            self.push(_tensor(arguments))
        else:
            raise Refused(f"it calls {called.name}")

    def build(self) -> None:
        """Pass over what an OrderedDict says of itself: the versions of a network's parts."""
        if not isinstance(self._pop(), dict):
            raise Refused("it sets the state of something that is not a dict")
        self._top(dict)

    def storage(self) -> None:
        """Push the numbers of a record: ("storage", kind, key, device, how many)."""
        named = self._pop()
        if not isinstance(named, tuple) or len(named) != 5 or named[0] != "storage":
            raise Refused("it names something that is not a storage")
        _, kind, key, _, count = named
        if not isinstance(kind, Name) or kind.name not in STORAGES or not isinstance(key, str):
            raise Refused("it names something that is not a storage")
        dtype, record = STORAGES[kind.name], self._records.get(f"data/{key}")
        if record is None or type(count) is not int or count * dtype.itemsize != len(record):
            raise Refused(f"storage {key[:40]!r} has not the length that it claims")
        if dtype == torch.bool and record.strip(b"\0\1"):
            raise Refused(f"storage {key[:40]!r} has truth values that are none")
        found = self._storages.get(key)
        if found is None:
            # A bytearray, which can be written to; frombuffer takes no empty one.
            found = torch.frombuffer(bytearray(record), dtype=dtype) if record else (
                torch.empty(0, dtype=dtype)
            )  # fmt: skip
            self._storages[key] = found
        if found.dtype != dtype:
            raise Refused(f"storage {key[:40]!r} is of two kinds")
        self.push(found)


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """(storage, offset, shape, stride, whether it has a gradient, no hooks) as a tensor."""
    if len(arguments) != 6 or not isinstance(arguments[0], Tensor):
        raise Refused("a tensor has odd parts")
    storage, offset, shape, stride, needs_gradient, hooks = arguments
    if not isinstance(hooks, dict) or hooks:
        raise Refused("a tensor has odd parts")
    for numbers in ((offset,), shape, stride):
        good = isinstance(numbers, tuple) and len(numbers) <= MOST_AXES
        if not good or not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
            raise Refused("a tensor has an odd shape")
    if len(shape) != len(stride) or math.prod(shape) > storage.numel():
        raise Refused("a tensor has an odd shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if (last if math.prod(shape) else offset - 1) >= storage.numel():
        raise Refused("a tensor reaches beyond its storage")
    tensor = storage.as_strided(shape, stride, offset)
    return tensor.requires_grad_(needs_gradient is True and tensor.is_floating_point())


def _is_deep(value: Any) -> bool:
    level = _containers([value])
    for _ in range(MOST_DEPTH):
        level = _containers(
            item for each in level for item in (each.values() if isinstance(each, dict) else each)
        )
    return bool(level)


def _containers(values: Iterable[Any]) -> list[Any]:
    """Those that hold others, each once: a value may lie in many places."""
    return list({id(v): v for v in values if isinstance(v, dict | list | tuple)}.values())
