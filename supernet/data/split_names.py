"""Tells folders that are splits of a data set (train, val, test) from folders that are classes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

SPLITS = {
    "train": ("train", "training", "trainval", "trn"),
    "val": ("val", "valid", "validation", "validate", "validating", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}
"""Split -> how people spell it, in any case: Train, validation_set, test2017, seg_train."""
_FILLERS = ("set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "pics",
            "photos", "split", "folder", "files", "dir")  # fmt: skip
"""Words that say nothing about which split it is; they may hang on its name: trainset."""
_KINDS = {word: kind for kind, words in SPLITS.items() for word in words}
_HANGING = re.compile(f"({'|'.join(sorted(_KINDS, key=len, reverse=True))})({'|'.join(_FILLERS)})")


@dataclass(frozen=True)
class SplitName:
    """Which split a folder's name means, and the other words of the name: seg in seg_train."""

    kind: str
    family: tuple[str, ...]


def split_of(name: str) -> SplitName | None:
    """The split that a folder's name means, or None where it means none or several."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    lower = re.sub(r"hold[\W_]out", "holdout", spaced.lower())
    words = [_stem(word) for word in re.findall(r"[^\W\d_]+", lower)]
    kinds = [_KINDS[word] for word in words if word in _KINDS]
    if len(kinds) != 1:
        return None
    return SplitName(kinds[0], tuple(w for w in words if w not in _KINDS and w not in _FILLERS))


def _stem(word: str) -> str:
    """train for trainset; any other word as it is."""
    found = _HANGING.fullmatch(word)
    return found[1] if found else word


def families(names: Iterable[str]) -> list[dict[str, list[str]]]:
    """The groups of names that together mean several splits: kind -> names, one dict a group.

    One name that means a split is none: a class may be called train, or train_station.
    """
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name in names:
        if found := split_of(name):
            groups.setdefault(found.family, {}).setdefault(found.kind, []).append(name)
    return [group for group in groups.values() if len(group) > 1]
