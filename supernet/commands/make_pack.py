"""Make an image pack (lossless WebP sheets in one .npz) from a folder of pictures.

The folder has one subfolder per class, or splits (train/ and test/ or val/, in any spelling) with
one subfolder per class each. The pack is read back and compared pixel by pixel before it takes
its name.

    python scripts/make_pack.py pictures/ pets.npz --side 32
    python scripts/search.py --robust --dataset pack:pets.npz
"""

import argparse
from pathlib import Path

import numpy as np

from supernet import cli
from supernet.errors import UserError
from supernet.flags import whole_number
from supernet.progress import Progress


def main() -> None:
    """Parse, make, print."""
    run(_parser().parse_args())


def run(arguments: argparse.Namespace) -> None:
    """Make the pack that the flags ask for."""
    if arguments.pack.suffix != ".npz":
        raise UserError(f"the pack {arguments.pack} must end in .npz; rename it")
    if arguments.pack.exists() and not arguments.force:
        raise UserError(f"{arguments.pack} exists already; give another name or --force")
    make(arguments.folder, arguments.pack, arguments.side, arguments.split_seed, arguments.note)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The folder, the pack and the flags of either command that makes one."""
    add = parser.add_argument
    add("folder", type=Path, help="the folder of pictures")
    add("pack", type=Path, help="the .npz to write")
    add("--side", type=whole_number(1), default=32,
        help="pictures become squares of so many pixels. Default: 32.")  # fmt: skip
    add("--split-seed", type=whole_number(), default=0,
        help="chooses the test fifth of each class. Default: 0.")  # fmt: skip
    add("--note", default="", help="origin and licence, kept in the pack")
    add("--force", action="store_true", help="replace a pack that is there already")


def make(folder: Path, pack: Path, side: int, seed: int, note: str) -> None:
    """Read the folder, write the pack, read it back, and say what it holds."""
    # Here and not above: Pillow and scikit-learn would delay --help.
    from supernet.data.folder import read_folder
    from supernet.data.packs import write_pack

    source = read_folder(folder, side, seed)
    parts = {"train": source.train, "test": source.test}
    splits = {name: (split.pixels(), split.y) for name, split in parts.items()}
    total = sum(len(y) for _, y in splits.values())
    with Progress("packing", total, "image") as bar:
        write_pack(pack, splits, source.class_names, note or source.origin, bar.update)
    raw = sum(pixels.nbytes for pixels, _ in splits.values())
    size = pack.stat().st_size
    counts = np.bincount(source.train.y)
    print(
        f"{pack}: {len(splits['train'][1]):,} training and {len(splits['test'][1]):,} test images"
        f" of {len(source.class_names)} classes ({counts.min()} to {counts.max()} training images"
        f" each), {side}x{side}, {size / 1e6:.2f} MB ({size / raw:.0%} of the raw pixels);"
        " read back and equal"
    )
    print("; ".join(filter(None, (source.origin, source.remark, source.seen()))))
