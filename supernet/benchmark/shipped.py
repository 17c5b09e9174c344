"""The benchmark as it ships with this package: every published value, in one file of 180 kB.

A published value is the mean over three seeds (AutoAttack: one seed) of the share of test images
that a network still classifies, each share in float32 and cut to 16 decimals. So a value is stored
as the sum of its three counts of images, and as how far two of the counts are from its third:

    sum_j = residual_j + (weights_j . (sum_0, .., sum_(j-1), 1)) >> SHIFT
    a, b  = sum // 3 + SPREADS[spread]
    value = (share(a) + share(b) + share(sum - a - b)) / 3

The first line makes the numbers small, since columns resemble each other. The three counts are the
nearest that give the published digits, not those of the three seeds, which are not published here.
The few values that no near counts give are kept as they are. `scripts/make_table.py` writes the
file and compares every value; NOTICE names its authors and licence.

Legend: K = 18 columns, data set by data set; R = 6,466 evaluated cells.
"""

import functools
import hashlib
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.files import SHIPPED
from supernet.benchmark.formats import LARGE_DATASETS, LARGE_METRICS, Raw
from supernet.cells.isomorphs import class_numbers
from supernet.cells.order import published_order
from supernet.errors import UserError

PATH = Path(__file__).with_name(SHIPPED.name)
PAIRS = tuple(itertools.product(LARGE_DATASETS, LARGE_METRICS))
"""K pairs (data set, column)."""
IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "imagenet16-120": 6_000}
"""Test images of a data set."""
SHIFT = 12
"""Binary digits of `weights` behind the point."""
VERBATIM = 255
"""The spread of a value that is kept as it is."""
_NEAR = sorted(
    itertools.combinations_with_replacement(range(-16, 17), 2),
    key=lambda pair: max(map(abs, pair)),
)
SPREADS: NDArray[np.int64] = np.array([*_NEAR[:VERBATIM], (0, 0)])
"""(256, 2) how far two of the three counts are from a third of their sum, the nearest first."""

Arrays = Mapping[str, NDArray[Any]]


@functools.cache
def read_shipped() -> Raw:
    """The shipped values with the evaluated cells and everyone's evaluated isomorph.

    Raises: UserError when the file is missing or is not the one that belongs to this version.
    """
    try:
        data = PATH.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {PATH}: {error.strerror}; install the package again"
        ) from error
    if hashlib.sha256(data).hexdigest() != SHIPPED.sha256:
        raise UserError(f"{PATH} is damaged or of another version; install the package again")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        values_KR = decode(arrays)
    unique, row_of = evaluated_cells(published_order().codes)
    for array in (unique, row_of, values_KR):
        array.setflags(write=False)  # it is the same for everyone who asks
    return Raw(unique, row_of, PAIRS, values_KR.T)


def evaluated_cells(codes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(R,) the indices of the evaluated cells, ascending, and (15625,) the row of every index.

    The authors evaluated the first cell of each isomorphism class in the published order.
    """
    ops = np.frombuffer("".join(codes).encode(), dtype=np.uint8).reshape(len(codes), -1) - ord("0")
    number = class_numbers(ops)
    # Not np.unique: it imports numpy.ma, which takes as long as all the rest here.
    by_class = np.argsort(number, kind="stable")
    begins = np.append(True, np.diff(number[by_class]) != 0)
    first = by_class[begins]
    first_of = np.empty(len(codes), dtype=np.int64)
    first_of[by_class] = first[np.cumsum(begins) - 1]
    evaluated = np.zeros(len(codes), dtype=bool)
    evaluated[first] = True
    return np.flatnonzero(evaluated), (np.cumsum(evaluated) - 1)[first_of]


def decode(arrays: Arrays) -> NDArray[np.float64]:
    """(K, R) the values, equal to the published ones in every bit."""
    sums_KR = sums(arrays)
    spread, verbatim = iter(arrays["spread"]), arrays["verbatim"]
    tables = {images: share_table(images) for images in set(IMAGES.values())}
    values_KR = np.empty(sums_KR.shape)
    used = 0
    for row, (dataset, column), total in zip(values_KR, PAIRS, sums_KR, strict=True):
        if column == "autoattack":
            row[:] = tables[IMAGES[dataset]][total]
            continue
        near = next(spread)
        row[:] = mean_share(total, SPREADS[near], tables[IMAGES[dataset]])
        kept = np.flatnonzero(near == VERBATIM)
        row[kept] = verbatim[used : used + len(kept)]
        used += len(kept)
    return values_KR


def sums(arrays: Arrays) -> NDArray[np.int64]:
    """(K, R) images that are still classified, over all seeds of a value."""
    zigzag = arrays["low"].astype(np.int64) | arrays["high"].astype(np.int64) << 8
    found_KR = zigzag >> 1 ^ -(zigzag & 1)
    for column, weights in enumerate(arrays["weights"]):
        found_KR[column] += predicted(found_KR[:column], weights)
    return found_KR


def predicted(before: NDArray[np.int64], weights: NDArray[np.integer]) -> NDArray[np.int64]:
    """(R,) what the columns before say of a column's sums, in integers: alike on every machine."""
    weights = weights.astype(np.int64)
    return weights[: len(before)] @ before + weights[-1] >> SHIFT


def mean_share(
    total: NDArray[np.int64], spread: NDArray[np.int64], table: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(R,) the mean of the three shares whose counts have this sum and these (R, 2) distances."""
    third = total // 3
    a, b = third + spread[..., 0], third + spread[..., 1]
    return (table[a] + table[b] + table[total - a - b]) / 3


def share_table(images: int) -> NDArray[np.float64]:
    """(images + 1,) count / images as the authors' files have it.

    A float32, written out as the shortest decimal of its double, of which 16 decimals are kept: so
    the double itself where 16 decimals tell it from its neighbours, else the decimal cut there.
    Exact below 0.9, where 16 decimals are integers that a double holds; no value reaches it.
    """
    share = (np.arange(images + 1) / images).astype(np.float32).astype(np.float64)
    mantissa, exponent = np.frexp(share)
    # share * 10^16 = scaled / 2^shift, in integers: scaled has 24 + 38 binary digits.
    scaled, shift = (mantissa * 2.0**24).astype(np.int64) * 5**16, 8 - exponent
    nearest = scaled + (1 << shift - 1) >> shift
    return np.where(nearest / 1e16 == share, share, (scaled >> shift) / 1e16)
