"""Lists the pictures of a class folder, and keeps account of what else lies there."""

import functools
import os
from collections import Counter
from pathlib import Path

from supernet.data.picture import FORMATS, readable_formats
from supernet.errors import UserError

SYSTEM_FOLDERS = frozenset(
    {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information",
     "lost+found", "#recycle"}
)  # fmt: skip
"""Made by machines, in lower case; they may hold copies and thumbnails of the pictures. Folders
whose name begins with a dot are such, too."""
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
"""Made by machines, in lower case, and never worth a word."""
UNREAD = frozenset(
    {".heic", ".heif", ".hif", ".jxl", ".jpx", ".svg", ".psd", ".xcf", ".eps", ".ico", ".icns",
     ".pcx", ".sgi", ".qoi", ".dds", ".exr", ".hdr", ".pfm", ".fits", ".dcm", ".dicom", ".dng",
     ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".mpo", ".wmf", ".emf"}
).union(*FORMATS.values())  # fmt: skip
"""The ends of pictures' names that are not read, unless a decoder of FORMATS is there for them."""
SHOWN = 3
"""Names that are shown of each kind of what is left out."""

WORDS = {
    "unread": "pictures of types that are not read, convert them to .png: {count} ({names})",
    "links": "broken links: {count} ({names})",
    "special": "pipes, devices and links to them: {count} ({names})",
    "loose": "pictures outside of the class folders: {count} ({names})",
    "hidden": "hidden pictures and folders: {count} ({names})",
    "folders": "folders beside the splits: {count} ({names})",
    "files": "other files: {count} ({names})",
}
"""Reason -> its words; the names are suffixes, folders or files."""


class LeftOut:
    """Counts what is left out, by reason and name."""

    def __init__(self) -> None:
        self._found: dict[str, Counter[str]] = {reason: Counter() for reason in WORDS}

    def add(self, reason: str, name: str) -> None:
        """Count one more. The reason is a key of WORDS."""
        self._found[reason][name] += 1

    def update(self, other: "LeftOut") -> None:
        """Count all that the other has counted."""
        for reason, names in other._found.items():
            self._found[reason].update(names)

    def __str__(self) -> str:
        """In words: left out: broken links: 2 (a.png, b.png); empty where nothing is."""
        parts = [
            words.format(count=f"{sum(names.values()):,}", names=_shown(names))
            for reason, words in WORDS.items()
            if (names := self._found[reason])
        ]
        return f"left out: {'; '.join(parts)}" if parts else ""


def _shown(names: Counter[str]) -> str:
    some = [name for name, _ in names.most_common(SHOWN)]
    return ", ".join([*some, "..."] if len(names) > SHOWN else some)


@functools.cache
def readable_suffixes() -> frozenset[str]:
    """The ends of names, in lower case, by which files are read as pictures here."""
    return frozenset(suffix for name in readable_formats() for suffix in FORMATS[name])


def subfolders(folder: Path, left: LeftOut) -> list[str]:
    """The names of the folders in a folder, sorted, without those that machines make."""
    found = []
    for name, kind in _entries(folder):
        if kind == "folder" and is_hidden(name):
            left.add("hidden", name)
        elif kind == "folder":
            found.append(name)
    return found


def pictures_below(folder: Path, left: LeftOut) -> list[Path]:
    """Every picture in a folder and its subfolders, sorted; links are followed, each folder once.

    Raises: UserError naming a folder that cannot be listed.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if (real := here.resolve()) in seen:  # links in a circle
            continue
        seen.add(real)
        for name, kind in _entries(here):
            path = here / name
            if kind == "folder" and is_hidden(name):
                left.add("hidden", name)
            elif kind == "folder":
                waiting.append(path)
            elif _is_picture(path.relative_to(folder.parent), kind, left):
                found.append(path)
    return sorted(found)


def note_loose_pictures(folder: Path, left: LeftOut) -> None:
    """Count what lies beside the class folders themselves."""
    for name, kind in _entries(folder):
        if kind != "folder" and _is_picture(Path(name), kind, left):
            left.add("loose", name)


def is_hidden(name: str) -> bool:
    """Whether a folder of this name is a machine's own."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _is_picture(path: Path, kind: str, left: LeftOut) -> bool:
    """Whether what is no folder is a picture to read; counts it where it is none."""
    suffix = path.suffix.lower()
    if path.name.lower() in SYSTEM_FILES:
        return False
    if path.name.startswith("."):
        if suffix in readable_suffixes():
            left.add("hidden", path.name)
    elif kind == "broken link":
        left.add("links", str(path))
    elif kind == "file" and suffix in readable_suffixes():
        return True
    elif kind == "file" and suffix in UNREAD:
        left.add("unread", suffix)
    elif kind == "other":  # whoever opens a pipe waits for one that writes into it
        left.add("special", str(path))
    else:
        left.add("files", suffix or path.name)
    return False


def _entries(folder: Path) -> list[tuple[str, str]]:
    """(name, folder, file, broken link or other) of all that lies in a folder, by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, _kind(entry)) for entry in entries)
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be listed ({error.strerror}); check its rights"
        ) from error


def _kind(entry: "os.DirEntry[str]") -> str:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:  # a link to itself, or through a folder that may not be entered
        pass
    return "other" if os.path.exists(entry) else "broken link" if entry.is_symlink() else "other"
