#!/usr/bin/env python3
"""Write the compact form of NAS-RobBench-201 that ships with this package.

Reads NAS-RobBench-201_html.json and ops.json, checks their SHA-256, and compares every value, every
isomorph and every index of the result with them before it takes its name. Whoever changes the form
puts the printed SHA-256 into supernet/benchmark/files.py.

    python scripts/make_table.py --data-root DATA
"""

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.benchmark import shipped
from supernet.benchmark.files import FOLDER, ORDER, TABLE, load_json
from supernet.benchmark.formats import Raw, read_small
from supernet.cells.order import IndexOrder, published_order
from supernet.errors import UserError
from supernet.files import atomic_write, data_root, sha256

WEIGHT_COLUMNS = len(shipped.PAIRS) + 1
"""Of `weights`: one for each column before, and a constant at the end."""


def main() -> None:
    """Parse, make, print."""
    arguments = _parser().parse_args()
    root = data_root(arguments.data_root)
    if root is None:
        raise UserError(f"name the folder that holds {FOLDER}/{TABLE.name} with --data-root")
    size = make(root / FOLDER, arguments.out)
    print(f"{arguments.out}: {size:,} bytes, every value read back and equal; SHA-256 "
          f"{sha256(arguments.out)}")  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    parser.add_argument("--data-root", metavar="DIR",
                        help=f"Folder with {FOLDER}/. Default: ROBUST_SUPERNET_DATA, else ./data."
                        )  # fmt: skip
    parser.add_argument("--out", type=Path, default=shipped.PATH, metavar="FILE",
                        help="The .npz to write. Default: the package's own.")  # fmt: skip
    return parser


def make(folder: Path, out: Path) -> int:
    """Write the file; returns its size. Raises: UserError when a published file is not that."""
    raw = read_small(load_json(folder / TABLE.name))
    order = IndexOrder.load(folder / ORDER.name)
    values_KR = np.stack([raw.values[:, raw.columns.index(pair)] for pair in shipped.PAIRS])
    packed = io.BytesIO()
    np.savez_compressed(packed, **encode(values_KR))
    packed.seek(0)
    with np.load(packed, allow_pickle=False) as arrays:
        compare(shipped.decode(arrays), values_KR, raw, order)
    with atomic_write(out, "wb") as stream:
        return int(stream.write(packed.getvalue()))


def compare(
    found_KR: NDArray[np.float64], values_KR: NDArray[np.float64], raw: Raw, order: IndexOrder
) -> None:
    """Raise an AssertionError unless all that the published files say comes back."""
    unique, row_of = shipped.evaluated_cells(order.codes)
    equal = {
        "a value": found_KR.tobytes() == values_KR.tobytes(),
        "the order": order.codes == published_order().codes,
        "an isomorph": (unique == raw.unique).all() and (row_of == raw.row_of).all(),
    }
    for name, is_equal in equal.items():
        if not is_equal:  # `python -O` leaves assert statements out
            raise AssertionError(f"{name} differs")


def encode(values_KR: NDArray[np.float64]) -> dict[str, Any]:
    """The arrays of which `shipped.decode` makes these values again."""
    sums_KR = np.stack([
        np.rint(row * shipped.IMAGES[dataset] * (1 if column == "autoattack" else 3))
        for row, (dataset, column) in zip(values_KR, shipped.PAIRS, strict=True)
    ]).astype(np.int64)  # fmt: skip
    residuals, weights = residuals_of(sums_KR)
    zigzag = residuals << 1 ^ residuals >> 63
    spread, verbatim = [], []
    for row, (dataset, column), total in zip(values_KR, shipped.PAIRS, sums_KR, strict=True):
        if column != "autoattack":
            images = shipped.IMAGES[dataset]
            near = spread_of(row, total, shipped.share_table(images))
            spread.append(near)
            verbatim.append(row[near == shipped.VERBATIM])
    assert zigzag.max() < 1 << 16
    return {
        # A byte of its own for what is nearly always 0: it compresses to an eighth.
        "low": (zigzag & 255).astype(np.uint8),
        "high": (zigzag >> 8).astype(np.uint8),
        "weights": weights,
        "spread": np.stack(spread),
        "verbatim": np.concatenate(verbatim),
    }


def residuals_of(sums_KR: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(K, R) what is left of each column behind its least-squares fit to those before, and the
    (K, K + 1) weights of the fits."""
    residuals = np.empty_like(sums_KR)
    weights = np.zeros((len(sums_KR), WEIGHT_COLUMNS), dtype=np.int32)
    ones = np.ones_like(sums_KR[:1])
    for column, total in enumerate(sums_KR):
        before = sums_KR[:column]
        fit = np.linalg.lstsq(np.concatenate([before, ones]).T, total, rcond=None)[0]
        scaled = np.rint(fit * (1 << shipped.SHIFT)).astype(np.int32)
        weights[column, :column], weights[column, -1] = scaled[:-1], scaled[-1]
        residuals[column] = total - shipped.predicted(before, weights[column])
    return residuals, weights


def spread_of(
    values: NDArray[np.float64], total: NDArray[np.int64], shares: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """(R,) the first of `shipped.SPREADS` that gives each value; VERBATIM where none does."""
    found = np.full(len(values), shipped.VERBATIM, dtype=np.uint8)
    for number, spread in enumerate(shipped.SPREADS[: shipped.VERBATIM]):
        left = np.flatnonzero(found == shipped.VERBATIM)
        if not len(left):
            break
        equal = shipped.mean_share(total[left], spread, shares) == values[left]
        found[left[equal]] = number
    return found


if __name__ == "__main__":
    cli.run(main)
