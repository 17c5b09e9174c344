"""A folder of pictures: one subfolder per class, or splits with one subfolder per class each."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from supernet.data.listing import LeftOut, note_loose_pictures, pictures_below, subfolders
from supernet.data.picture import (
    DEEP,
    DIM,
    FRAMES,
    TRANSPARENT,
    read_picture,
    shorter_side,
)
from supernet.data.split_names import families, split_of
from supernet.data.splits import (
    IndexArray,
    LabelArray,
    PixelArray,
    Source,
    Split,
    check_memory,
    check_side,
    stratified_test,
)
from supernet.errors import UserError
from supernet.files import at_home
from supernet.progress import with_progress
from supernet.threads import available_cpus

TEST_SHARE = 0.2
MEASURED = 1_000
"""Pictures whose sides are looked at, evenly spaced, before any is decoded."""

REMARKS = {
    TRANSPARENT: "with transparent parts, shown on white",
    DEEP: "of 16-bit grey, scaled to 8 bits",
    DIM: "of these below a sixteenth of their range and nearly black",
    FRAMES: "with several frames, of which the first is read",
}
"""What is remarkable of pictures -> its words."""

Remarkable = dict[str, set[Path]]


def read_folder(
    folder: str | Path, side: int, seed: int, held_out: str | Path | None = None
) -> Source:
    """Pictures as side x side RGB: scaled to cover the square, then cropped at the centre.

    Subfolders that are called train and test, val or the like, in any spelling of
    `supernet.data.split_names`, are the splits, and test goes before val; else a fifth of each
    class, chosen by the seed from the sorted file names, is the test split. The source says what
    was left out and why.

    held_out: a folder with the same classes whose pictures are the test split instead. Then all
        pictures of a folder without splits are training pictures, and of one with splits those of
        its train.

    Raises: UserError naming the folder (missing, one class, an empty class, splits without classes
            or inside of them), the side that the networks cannot halve twice, or the picture (see
            `read_picture`, when its pixels are wanted).
    """
    folder = at_home(folder)
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}; name the one that has the pictures, as --dataset"
            " folder:PATH in a run, also in one that is resumed after they moved"
        )
    check_side(f"the pictures in {folder} would become", side, "give --side")
    left = LeftOut()
    names = subfolders(folder, left)
    note_loose_pictures(folder, left)
    groups = families(names)
    if len(groups) > 1:
        raise UserError(
            f"{folder} has several sets of splits"
            f" ({'; '.join(', '.join(_names(group)) for group in groups)}); give a folder with one"
        )
    if held_out is not None:
        train = folder / _train_of(folder, groups[0]) if groups else folder
        return _joined(train, _classes_of(at_home(held_out)), side)
    if groups:
        return _official(folder, groups[0], names, side, left)
    _refuse_lone_split(folder, names)
    return _divided(folder, names, side, seed, left)


def _train_of(folder: Path, group: dict[str, list[str]]) -> str:
    """The name of the training split alone."""
    names = group.get("train", [])
    if len(names) != 1:
        raise UserError(
            f"{folder} has {len(names)} splits called train among {', '.join(_names(group))}; keep "
            "one, or name the folder of the training pictures itself"
        )
    return names[0]


def _classes_of(folder: Path) -> Path:
    """The folder with the held-out pictures' classes: itself, or its own test or val."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; correct --val")
    groups = families(subfolders(folder, LeftOut()))
    if not groups:
        return folder
    found = [name for kind in ("test", "val") for name in groups[0].get(kind, ())]
    if len(groups) > 1 or not found:
        raise UserError(f"{folder} has several splits; give one of them as --val")
    return folder / found[0]


def _joined(train: Path, held_out: Path, side: int) -> Source:
    """Two folders with the same classes, one to learn from and one to be measured on."""
    if train.resolve() == held_out.resolve():
        raise UserError(f"--val {held_out} has the training pictures themselves; name others")
    left = LeftOut()
    names, others = subfolders(train, left), subfolders(held_out, left)
    if names != others:
        raise _other_classes(train, held_out, names, others)
    parts = []
    for split in (train, held_out):
        note_loose_pictures(split, left)
        parts.append(_list_classes(split, names, least=1, left=left))
    return _source(
        parts[0], parts[1], names, side, left,
        f"the folder {train}, held out {held_out}, shown as {side}x{side}",
    )  # fmt: skip


def _divided(folder: Path, names: Sequence[str], side: int, seed: int, left: LeftOut) -> Source:
    files, y = _list_classes(folder, names, least=2, left=left)
    test = stratified_test(y, TEST_SHARE, seed)
    found: Remarkable = {}
    every = _pictures(files, y, side, found)
    share = f"a fifth of each class is the test split, chosen with seed {seed}"
    train = np.flatnonzero(~test)
    return Source(
        train=every.take(train),
        test=every.take(np.flatnonzero(test)),
        class_names=tuple(names),
        origin=f"the folder {folder}, shown as {side}x{side}",
        remark="; ".join(filter(None, (share, str(left)))),
        seen=lambda: _remarks(found),
        shorter_side=lambda: _median_side([files[index] for index in train]),
    )


def _official(
    folder: Path, group: dict[str, list[str]], beside: Sequence[str], side: int, left: LeftOut
) -> Source:
    train, held_out = _splits(folder, group)
    for name in beside:
        if name not in (train, held_out):
            left.add("folders", name)
    names = subfolders(folder / train, left)
    parts = []
    for split in (train, held_out):
        note_loose_pictures(folder / split, left)
        parts.append(_list_classes(folder / split, names, least=1, left=left))
    return _source(
        parts[0], parts[1], names, side, left,
        f"the folder {folder} with its own {train} and {held_out}, shown as {side}x{side}",
    )  # fmt: skip


def _source(
    train: tuple[list[Path], LabelArray],
    test: tuple[list[Path], LabelArray],
    names: Sequence[str],
    side: int,
    left: LeftOut,
    origin: str,
) -> Source:
    """Two splits that lie in folders of their own."""
    found: Remarkable = {}
    return Source(
        train=_pictures(*train, side, found),
        test=_pictures(*test, side, found),
        class_names=tuple(names),
        origin=origin,
        remark=str(left),
        seen=lambda: _remarks(found),
        shorter_side=lambda: _median_side(train[0]),
    )


def _median_side(files: Sequence[Path]) -> int | None:
    """The median of the shorter sides of up to MEASURED pictures, in pixels."""
    count = min(MEASURED, len(files))
    sides = [shorter_side(files[number * len(files) // count]) for number in range(count)]
    known = [side for side in sides if side is not None]
    return int(np.median(known)) if known else None


def _splits(folder: Path, group: dict[str, list[str]]) -> tuple[str, str]:
    """The names of the training split and of the one that is held out, which has its classes."""
    for kind, names in group.items():
        if len(names) > 1:
            raise UserError(
                f"{folder} has more than one {kind} split ({', '.join(names)}); keep one of them"
                " there"
            )
    if "train" not in group:
        raise UserError(
            f"{folder} has the splits {' and '.join(_names(group))} but none called train; add it,"
            " or rename the folders if they are classes"
        )
    (train,) = group["train"]
    held_out = [name for kind in ("test", "val") for name in group.get(kind, ())]
    classes = {name: subfolders(folder / name, LeftOut()) for name in (train, *held_out)}
    if not classes[train]:
        raise UserError(
            f"{folder / train} is a training split without class folders; put its pictures into one"
            " subfolder per class"
        )
    for name in held_out:
        if classes[name] == classes[train]:
            return train, name
    raise _no_test_split(folder, train, held_out, classes)


def _no_test_split(
    folder: Path, train: str, held_out: Sequence[str], classes: dict[str, list[str]]
) -> UserError:
    labelled = [name for name in held_out if classes[name]]
    if labelled:
        other = labelled[0]
        return _other_classes(folder / train, folder / other, classes[train], classes[other])
    return UserError(
        f"{' and '.join(str(folder / name) for name in held_out)} without class folders cannot"
        f" be a test split; give folder:{folder / train}, of which a fifth is held out"
    )


def _other_classes(
    train: Path, held_out: Path, names: Sequence[str], others: Sequence[str]
) -> UserError:
    differ = sorted({*names} ^ {*others})
    shown = ", ".join([*differ[:3], "..."] if len(differ) > 3 else differ)
    return UserError(
        f"{train} and {held_out} have different class folders (only one has {shown}); make them"
        " the same"
    )


def _refuse_lone_split(folder: Path, names: Sequence[str]) -> None:
    """A folder that is called as a split is and has folders of its own is no class."""
    for name in names:
        split = split_of(name)
        if split is None or split.family or not subfolders(folder / name, LeftOut()):
            continue
        raise UserError(
            f"{folder / name} looks like a {split.kind} split, and there is no other split beside"
            f" it; give folder:{folder / name}, of which a fifth is held out, or rename it if it is"
            " a class"
        )


def _refuse_splits_in_class(folder: Path) -> None:
    for group in families(subfolders(folder, LeftOut())):
        raise UserError(
            f"the class {folder} has the splits {' and '.join(_names(group))} inside of it; put the"
            f" classes into the splits: {folder.parent / _names(group)[0] / folder.name}"
        )


def _names(group: dict[str, list[str]]) -> list[str]:
    return [name for names in group.values() for name in names]


def _list_classes(
    folder: Path, names: Sequence[str], least: int, left: LeftOut
) -> tuple[list[Path], LabelArray]:
    if len(names) < 2:
        raise _too_few_classes(folder, names)
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        here = LeftOut()
        _refuse_splits_in_class(folder / name)
        pictures = pictures_below(folder / name, here)
        if len(pictures) < least:
            why = f" ({here})" if str(here) else ""
            raise UserError(
                f"{folder / name} has {len(pictures)} pictures{why} and needs at least {least};"
                " add some or remove the folder"
            )
        left.update(here)
        files += pictures
        labels += [label] * len(pictures)
    return files, np.asarray(labels, np.int64)


def _too_few_classes(folder: Path, names: Sequence[str]) -> UserError:
    if names and len(subfolders(folder / names[0], LeftOut())) > 1:
        return UserError(
            f"{folder} holds one folder, {names[0]}; name that one: {folder / names[0]}"
        )
    found = f"one class ({names[0]})" if names else "no class folders"
    return UserError(f"{folder} has {found}; give at least two subfolders, one per class")


def _pictures(files: Sequence[Path], y: LabelArray, side: int, found: Remarkable) -> Split:
    def read(index: IndexArray) -> PixelArray:
        check_memory(len(index), side)
        pixels = np.empty((len(index), side, side, 3), np.uint8)

        def read_one(row: int) -> None:
            path = files[index[row]]
            pixels[row], remarkable = read_picture(path, side)
            for what in remarkable:
                found.setdefault(what, set()).add(path)

        # Pillow decodes and resizes outside the interpreter lock. Its warning of large pictures
        # would come before the error that refuses them.
        with warnings.catch_warnings(), ThreadPoolExecutor(available_cpus()) as pool:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            done = pool.map(read_one, range(len(index)))
            list(with_progress(done, "reading", "picture", total=len(index)))
        _refuse_dim(found)
        return pixels

    return Split(y, read)


def _refuse_dim(found: Remarkable) -> None:
    """Where every 16-bit picture is dark, it is the scale that is wrong and not the light."""
    deep, dim = found.get(DEEP, set()), found.get(DIM, set())
    if deep and deep == dim:
        raise UserError(
            f"all 16-bit pictures ({len(deep):,}, such as {min(deep)}) stay below a sixteenth of"
            " their range, as 12-bit values do, and would be nearly black; scale them to the full"
            " range, or save them with 8 bits"
        )


def _remarks(found: Remarkable) -> str:
    parts = [f"{words}: {len(found[what]):,}" for what, words in REMARKS.items() if what in found]
    return f"pictures {', '.join(parts)}" if parts else ""
