"""Say which images there are and where they are looked for; download them, or pack a folder.

    python scripts/data.py                                the data sets, and which are here
    python scripts/data.py show folder:pictures           what a folder of pictures holds
    python scripts/data.py show folder:pictures --read    and whether every picture can be read
    python scripts/data.py download cifar10               where its publisher allows that
    python scripts/data.py pack pictures pets.npz --side 32

A name is what searches and trainings take as --dataset.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from supernet import cli
from supernet.commands import make_pack
from supernet.errors import UserError
from supernet.files import DATA_ROOT_VARIABLE, data_root
from supernet.flags import whole_number
from supernet.invocation import command
from supernet.progress import Progress
from supernet.text import aligned

if TYPE_CHECKING:
    from supernet.data.splits import Source

BATCH = 64
"""Pictures that `show --read` reads at a time."""


def main() -> None:
    """Parse, look, print."""
    arguments = _parser().parse_args()
    arguments.command(arguments)


def overview(arguments: argparse.Namespace) -> None:
    """Every data set by name: what was found of it, or where it was missed."""
    from supernet.data.load import DATASETS

    root = data_root(arguments.data_root)
    place = "none, since there is no folder ./data" if root is None else str(root)
    print(f"data root: {place} (--data-root, else {DATA_ROOT_VARIABLE}, else ./data)\n")
    for name in DATASETS:
        try:
            source = _source(name, arguments)
        except UserError as error:
            print(f"{name:15} NOT HERE: {error}")
        else:
            print(f"{name:15} {_sentence(source)}")
    print(f"{'folder:PATH':15} your own pictures")
    print(f"{'pack:FILE.npz':15} your own pictures in one file\n")
    print(f"{command('data show')} folder:PATH   counts the pictures of each class")
    print(f"{command('data pack')} FOLDER FILE.npz   makes a pack")
    print(f"{command('data download')} cifar10   fetches what may be fetched, as a run does")


def show(arguments: argparse.Namespace) -> None:
    """What a data set, a folder of pictures or a pack holds, class by class."""
    source = _source(arguments.name, arguments, arguments.side)
    print(_sentence(source) + "\n")
    counts = [np.bincount(s.y, minlength=len(source.class_names)) for s in _splits(source)]
    rows = [
        [name, f"{train:,}", f"{test:,}"]
        for name, train, test in zip(source.class_names, *counts, strict=True)
    ]
    print(aligned(["class", "training", "test"], rows, left=1))
    if arguments.read:
        print(_read(source))


def download(arguments: argparse.Namespace) -> None:
    """Fetch a data set from its publisher, checked by its MD5; what is here already is kept."""
    print(_sentence(_source(arguments.name, arguments, download=True)))


def _source(
    name: str, arguments: argparse.Namespace, side: int | None = None, *, download: bool = False
) -> "Source":
    from supernet.data.load import read_source

    return read_source(name, data_root=arguments.data_root, side=side, download=download)[0]


def _sentence(source: "Source") -> str:
    return "; ".join(filter(None, (source.found(), source.remark)))


def _splits(source: "Source") -> tuple[Any, Any]:
    return source.train, source.test


def _read(source: "Source") -> str:
    """Decode every picture; what that shows, in words."""
    count = sum(len(split.y) for split in _splits(source))
    with Progress("reading", count, "image") as bar:
        for split in _splits(source):
            for start in range(0, len(split.y), BATCH):
                index = np.arange(start, min(start + BATCH, len(split.y)))
                split.read(index)
                bar.update(len(index))
    return f"\nall {count:,} can be read" + (f"; {source.seen()}" if source.seen() else "")


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.set_defaults(command=overview, data_root=None)
    _add_root(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, command: Callable[..., None], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=words, description=f"{words[0].upper()}{words[1:]}.",
            formatter_class=parser.formatter_class, allow_abbrev=False,
        )  # fmt: skip
        sub.set_defaults(command=command)
        return sub

    sub = add("show", show, "say what a data set, a folder of pictures or a pack holds")
    sub.add_argument("name", metavar="NAME",
                     help="digits, cifar10, cifar100, imagenet16-120, folder:PATH, pack:FILE.npz"
                     )  # fmt: skip
    sub.add_argument("--side", type=whole_number(1), metavar="N",
                     help="pixels of the squares that folder:PATH becomes. Default: 32."
                     )  # fmt: skip
    sub.add_argument("--read", action="store_true",
                     help="read every picture, and say what is remarkable of them")  # fmt: skip
    _add_root(sub)

    sub = add("download", download, "fetch a data set from its publisher where that is allowed")
    sub.add_argument("name", metavar="NAME", help="cifar10 or cifar100")
    _add_root(sub)

    sub = add("pack", make_pack.run, "make one file of a folder of pictures, which loads faster")
    make_pack.add_flags(sub)
    return parser


def _add_root(parser: argparse.ArgumentParser) -> None:
    # A default would take the place of a value given before the command's name.
    parser.add_argument("--data-root", metavar="PATH", default=argparse.SUPPRESS,
                        help="Folder with data sets; else ROBUST_SUPERNET_DATA, else ./data."
                        )  # fmt: skip
