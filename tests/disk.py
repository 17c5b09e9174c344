"""Disks that are full: small ones that are mounted for a test, and files that may not grow."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARES = tuple(n / 10 for n in range(10))
"""Ten sizes of a disk, as shares of what a run writes: from nothing to almost all."""
_PAGE = 4096


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit on the size of files: writing beyond it fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Disk:
    """A file system in memory, of a size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: int) -> None:
        """Give it another size; it has a page more, which a file fills, for none is of no size."""
        _mount("remount,", size + _PAGE, self.folder)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A disk of this size, mounted on a new folder. Skips the test without the right to mount."""
    folder.mkdir()
    try:
        _mount("", size + _PAGE, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no right to mount a disk ({error})")
    try:
        (folder / "filler").write_bytes(bytes(_PAGE))
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(options: str, size: int, folder: Path) -> None:
    size = size // _PAGE * _PAGE  # the kernel rounds up
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"{options}size={size}", "tmpfs", str(folder)],
        check=True, capture_output=True,
    )  # fmt: skip


def size_of(folder: Path) -> int:
    """Bytes that a folder's files take on a disk of whole pages."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(-(-size // _PAGE) * _PAGE for size in sizes)


def is_on(error: OSError, folder: Path) -> bool:
    """Whether an error of a full disk names a file in a folder, or the folder."""
    return error.filename is not None and os.path.abspath(error.filename).startswith(str(folder))
