"""Damages what is inside a zip archive, whose checksums and sizes then say what is there.

Without this, nearly every damage of such a file ends at a checksum, and no reader behind it sees
any. The entry before the damage stays in the file; the archive's directory no longer names it.
"""

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")


@functools.lru_cache(maxsize=4)
def _opened(data: bytes) -> tuple[int, list[tuple[bytes, bytes, bytes]]]:
    """Where the directory begins, and of each entry: its line there, its name and its content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start, found = archive.start_dir, []
        place = start
        for entry in archive.infolist():
            sizes = _CENTRAL.unpack_from(data, place)[10:13]
            end = place + _CENTRAL.size + sum(sizes)
            name = data[place + _CENTRAL.size :][: sizes[0]]
            found.append((data[place:end], name, archive.read(entry)))
            place = end
    return start, found


def edit_entry(data: bytes, number: int, edit: Callable[[bytes], bytes]) -> bytes:
    """The archive with one of its entries edited, counted in order and around; even numbers count
    the first one alone, which in torch's files has all that is not a number of a tensor."""
    start, entries = _opened(data)
    place = 0 if number % 2 == 0 else number // 2 % len(entries)
    _, name, content = entries[place]
    content = edit(content)
    crc, size = zlib.crc32(content), len(content)
    local = _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, len(name), 0) + name + content
    central = _CENTRAL.pack(
        b"PK\1\2", 20, 20, 0, 0, 0, 33, crc, size, size, len(name), 0, 0, 0, 0, 0, start
    ) + name  # fmt: skip
    lines = [central if k == place else line for k, (line, _, _) in enumerate(entries)]
    directory = b"".join(lines)
    end = _END.pack(b"PK\5\6", 0, 0, len(lines), len(lines), len(directory), start + len(local), 0)
    return data[:start] + local + directory + end
