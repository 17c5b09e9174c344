"""Fetches publishers' archives, checks their MD5, and unpacks them whole or not at all."""

import hashlib
import http.client
import os
import re
import shutil
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Mapping
from pathlib import Path

from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.progress import Progress

TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
MOST_BYTES = 400_000_000
"""The longest archive has 170 million, its longest file 155 million."""
MOST_SECONDS = 3 * 3600
"""A download that is slower than 16 kB/s is given up."""


def fetch(url: str, path: Path, md5: str) -> None:
    """Download `url` to `path`; the file appears there only if its MD5 is the publisher's.

    Raises: UserError when the network fails or something else than the file was received.
    """
    try:
        with atomic_write(path, "wb") as stream:
            received, start = _stream(url, stream)
            if received != md5:
                raise UserError(
                    f"{url} gave something else than the publisher's file (MD5 {received} instead"
                    f" of {md5}, it begins with {start!r}); download it in another way to {path}"
                )
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot download {url} ({error}); fetch it on another machine (MD5 {md5}) and put it"
            f" at {path}"
        ) from error


def unpack(archive: Path, folder: str, md5s: Mapping[str, str]) -> Path:
    """Take the named files of `folder` out of a tar archive, into a folder next to the archive.

    Only plain files with these names and MD5s are written, whatever else the archive holds.
    Returns the folder, which appears only when it is complete.
    Raises: UserError when the archive is damaged or lacks a file.
    """
    target = archive.parent / folder
    temporary = Path(tempfile.mkdtemp(dir=archive.parent, prefix=f".{folder}."))
    try:
        with tarfile.open(archive) as tar:
            for name, md5 in md5s.items():
                member = tar.extractfile(f"{folder}/{name}")
                if member is None:
                    raise KeyError(f"{folder}/{name} is not a plain file")
                if tar.getmember(f"{folder}/{name}").size > MOST_BYTES:
                    raise KeyError(f"{folder}/{name} is longer than {MOST_BYTES:,} bytes")
                (temporary / name).write_bytes(member.read(MOST_BYTES))
                if file_md5(temporary / name) != md5:
                    raise KeyError(f"{folder}/{name} has another MD5 than the publisher's")
        os.chmod(temporary, 0o755)
        os.replace(temporary, target)
    except (OSError, KeyError, ValueError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(
            f"cannot unpack {archive} ({error}); delete it and fetch it again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def file_md5(path: Path) -> str:
    """Hexadecimal MD5 of a file's bytes: the publishers give no better one."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _stream(url: str, stream: object) -> tuple[str, bytes]:
    digest = hashlib.md5(usedforsecurity=False)
    start = b""
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
        length = answer.headers.get("Content-Length") or ""
        total = int(length) if re.fullmatch("[0-9]{1,15}", length) else 0
        received, last = 0, time.monotonic() + MOST_SECONDS
        name = url.rsplit("/", 1)[-1]
        with Progress(name, total or None, "byte", unit_scale=True) as bar:
            while chunk := answer.read(CHUNK_BYTES):
                start = start or chunk[:16]
                received += len(chunk)
                if max(received, total) > MOST_BYTES:
                    raise OSError(f"it is longer than {MOST_BYTES:,} bytes")
                if time.monotonic() > last:
                    raise OSError(f"it took longer than {MOST_SECONDS // 3600} hours")
                digest.update(chunk)
                stream.write(chunk)  # type: ignore[attr-defined]
                bar.update(len(chunk))
    return digest.hexdigest(), start
