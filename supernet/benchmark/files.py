"""The published files of a benchmark table: read whole, checked, and named plainly when wrong.

A file-sharing site that answers with an HTML page, a download cut short and a file of another
table all look like "a JSON error" to a parser; here each has its own sentence.
"""

import gc
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.errors import UserError

try:
    import orjson
except ImportError:  # on a machine without network a search still runs
    orjson = None  # type: ignore[assignment, unused-ignore]

PAGE = "https://tt2408.github.io/nasrobbench201hp/files/"
"""The authors' project page (repository TT2408/nasrobbench201hp), CC BY-SA 4.0."""


@dataclass(frozen=True)
class Published:
    """A file as its authors publish it."""

    name: str
    sha256: str
    size: int
    """Bytes."""

    @property
    def url(self) -> str:
        return PAGE + self.name


TABLE = Published(
    "NAS-RobBench-201_html.json",
    "b3dc99b96324de07b1dd9f3c39830fe0f82aae7fbd1b20eb0a6885cabd4f2388",
    2_580_686,
)
ORDER = Published(
    "ops.json", "1797c0b1bd00d1769f18de3edd74a942ceb627f8f72315b7aa8eff06a28c7a5d", 140_631
)
STANDARD = Published(
    "acc.json", "1c8b7dfe4ed375843db5cdad99aa24df99f5aa377780ccdcb259007ab6317ed2", 807_808
)
SHIPPED = Published(
    "nas_robbench_201.npz",
    "fdafb0fea211ef8227c1778bd04d7f983d260d3b15608793f5ba211d1ec5322d",
    174_776,
)
"""TABLE and ORDER as they ship with this package (`supernet.benchmark.shipped`)."""
PUBLISHED = {file.name: file for file in (TABLE, ORDER, STANDARD)}

LARGE_TABLE = "NAS-RobBench-201_all.json"
"""The larger form with single seeds, from a file-sharing site; no hash of it is published."""
LARGE_META = "meta.json"
LARGE_PARTS = ("cifar10", "cifar100", "imagenet")
"""Its entries, one per data set."""
MOST_BYTES = 32 << 20
"""Three times the longest of these files; parsed, such a file takes up to 0.8 GB."""
FOLDER = "robbench201"
"""Where the files lie under a data root."""

_MAGIC = {
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"version https://git-lfs": "a Git LFS pointer: run git lfs pull",
}


@dataclass(frozen=True)
class Loaded:
    """A parsed file and what is known about it."""

    value: Any
    path: Path
    sha256: str
    verified: bool
    """Whether the hash is the published one; False where none is published or checks are off."""

    def emptied(self) -> "Loaded":
        """The same without the parsed text, which weighs many times what its arrays do."""
        return Loaded(None, self.path, self.sha256, self.verified)


def load_json(path: Path, *, verify: bool = True) -> Loaded:
    """Parse a bare JSON file or a JavaScript assignment `name={...};`, after checking its hash.

    Raises: UserError with what was received instead: nothing, an HTML page, an archive, a file cut
        short, or (with `verify`) a file whose SHA-256 is not the published one.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    if len(data) > MOST_BYTES:
        raise UserError(
            f"{path} is longer than any file of the benchmark ({MOST_BYTES:,} bytes); name another"
        )
    digest = hashlib.sha256(data).hexdigest()
    known = PUBLISHED.get(path.name)
    if known is not None and digest == known.sha256:
        return Loaded(_parse(data), path, digest, verified=True)
    refuse_other_kinds(path, data)
    try:
        value = _parts(data, LARGE_PARTS) if path.name == LARGE_TABLE else _parse(data)
    except ValueError as error:
        raise UserError(_cut_short(path, data, known, error)) from error
    if known is not None and verify:
        raise UserError(
            f"{path} is not the published file: its SHA-256 is {digest[:12]}... instead of "
            f"{known.sha256[:12]}...; download it again from {known.url}, or turn the check off "
            "with --no-verify"
        )
    return Loaded(value, path, digest, verified=False)


def refuse_other_kinds(path: Path, data: bytes) -> None:
    """Raise a UserError when the bytes are empty, a web page or an archive."""
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    known = PUBLISHED.get(path.name)
    where = f" from {known.url}" if known else ""
    if not start:
        raise UserError(f"{path} is empty; download it again{where}")
    if start[:1] == b"<":
        title = _title(data)
        raise UserError(
            f"{path} is an HTML page{title}, not the table (a site answered with a web page "
            f"instead of the file); download it again{where}"
        )
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            raise UserError(f"{path} is {kind}")


def _loads(text: bytes | memoryview) -> Any:
    """JSON; without orjson the same values, three times as slowly."""
    try:
        return json.loads(bytes(text)) if orjson is None else orjson.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _parse(data: bytes) -> Any:
    """JSON, with or without `name=` before and `;` behind.

    orjson takes a third of the time of the standard library's parser, which alone would use up most
    of the 0.3 s in which the larger form is to be there.
    """
    start, end = 3 if data.startswith(b"\xef\xbb\xbf") else 0, len(data)
    equals = data.find(b"=", start, start + 64)
    if equals > 0 and data[start:equals].strip().isalnum():
        start, end = equals + 1, _end(data, _TAIL)
    # A view, not a slice: copies of ten megabytes would show in the peak memory.
    return _loads(memoryview(data)[start:end])


class Parts:
    """The entries of a JSON object, each parsed when it is asked for and not kept.

    Parsed whole, the larger form takes 70 MiB at once, in parts half of it.
    """

    def __init__(self, data: bytes, texts: dict[str, memoryview]) -> None:
        self._data = data
        self._texts = texts

    def __getitem__(self, name: str) -> Any:
        try:
            return _loads(self._texts[name])
        except ValueError:
            # The file may have entries between ours; if it is damaged, this says so.
            return _parse(self._data)[name]


def _parts(data: bytes, names: Sequence[str]) -> Any:
    """The object with these keys as `Parts`; parsed whole where its text cannot be cut at them.

    Raises: ValueError where it is parsed whole and is not JSON. A part may raise it later.
    """
    marks = {name: f'"{name}"'.encode() for name in names}
    stop = _end(data, _TAIL)
    if data[stop - 1 : stop] != b"}" or any(data.count(mark) != 1 for mark in marks.values()):
        return _parse(data)
    texts = {}
    stop -= 1
    for start, name in sorted(((data.find(marks[name]), name) for name in names), reverse=True):
        colon = data.find(b":", start)
        texts[name] = memoryview(data)[colon + 1 : _end(data, _GLUE, stop)]
        stop = start
    return Parts(data, texts)


def _end(data: bytes, tail: tuple[bytes, ...], end: int | None = None) -> int:
    """Where data[:end] ends without the bytes in `tail`."""
    end = len(data) if end is None else end
    while data[end - 1 : end] in tail:
        end -= 1
    return end


_SPACE = (b" ", b"\n", b"\r", b"\t")
_GLUE = (b",", *_SPACE)
_TAIL = (b";", *_SPACE)


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector: the larger form is a hundred thousand dicts and no garbage, and
    passes over them are a third of the time that it takes to read."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _title(data: bytes) -> str:
    text = data[:4096].decode("utf-8", errors="replace")
    start, end = text.lower().find("<title>"), text.lower().find("</title>")
    if not 0 <= start < end:
        return ""
    words = " ".join(text[start + 7 : end].split())[:60]
    return f" titled '{''.join(letter for letter in words if letter.isprintable())}'"


def _cut_short(path: Path, data: bytes, known: Published | None, error: ValueError) -> str:
    end = data.rstrip()[-1:]
    size = f"{len(data):,} bytes"
    if known is not None and len(data) < known.size:
        return (
            f"{path} is cut short: {size} instead of {known.size:,}; "
            f"download it again from {known.url}"
        )
    if end not in b"};]":
        return f"{path} is cut short: its {size} end in the middle of a value; download it again"
    return f"{path} is not JSON ({error}); download it again"
