"""The published files of a benchmark table: read whole, checked, and named plainly when wrong.

A file-sharing site that answers with an HTML page, a download cut short and a file of another
table all look like "a JSON error" to a parser; here each has its own sentence.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.errors import UserError

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
PUBLISHED = {file.name: file for file in (TABLE, ORDER, STANDARD)}

LARGE_TABLE = "NAS-RobBench-201_all.json"
"""The larger form with single seeds, from a file-sharing site; no hash of it is published."""
LARGE_META = "meta.json"
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


def load_json(path: Path, *, verify: bool = True) -> Loaded:
    """Parse a bare JSON file or a JavaScript assignment `name={...};`, after checking its hash.

    Raises: UserError with what was received instead: nothing, an HTML page, an archive, a file cut
        short, or (with `verify`) a file whose SHA-256 is not the published one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    digest = hashlib.sha256(data).hexdigest()
    known = PUBLISHED.get(path.name)
    if known is not None and digest == known.sha256:
        return Loaded(_parse(data), path, digest, verified=True)
    refuse_other_kinds(path, data)
    try:
        value = _parse(data)
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


def _parse(data: bytes) -> Any:
    """JSON, with or without `name=` before and `;` behind."""
    text = data.decode("utf-8-sig").strip()
    head, equals, rest = text.partition("=")
    if equals and head.strip().isidentifier():
        text = rest.strip().removesuffix(";")
    return json.loads(text)


def _title(data: bytes) -> str:
    text = data[:4096].decode("utf-8", errors="replace")
    start, end = text.lower().find("<title>"), text.lower().find("</title>")
    return f" titled '{' '.join(text[start + 7 : end].split())[:60]}'" if 0 <= start < end else ""


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
