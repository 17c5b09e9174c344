"""The published order of the 15,625 cells: which cell an index names.

The order is arbitrary, and shared by NAS-Bench-201, NATS-Bench and NAS-RobBench-201. The authors of
NAS-Bench-201 made it by shuffling the cells with a fixed seed, so it is computed here; the
benchmark also publishes it as `ops.json`.
"""

import functools
import hashlib
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

from ops.space import NUM_EDGES, NUM_OPS
from supernet.cells.genotype import NUM_CELLS, Genotype
from supernet.errors import UserError
from supernet.invocation import named

ORDER_SEED = 88
ORDER_MD5 = "5b8fd04c035e06a14c89219d4a91317e"
"""Of the 15,625 codes in published order, joined by newlines. (Of the strings it is
1985aacc268bf045d31ddeecaaac0dc0; writing those out would take fifty times as long.)"""

_MOST_BYTES = 8 << 20
"""Fifty times the published file; a longer one is cut, and so refused."""


class IndexOrder:
    """An order of the 15,625 cells: index to cell and back."""

    def __init__(self, codes: Sequence[str]) -> None:
        self.codes = tuple(codes)

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True) -> "IndexOrder":
        """Read `ops.json`: a JavaScript assignment `arch=[...];` or a bare JSON list of codes.

        Raises: UserError when the file is not that, naming what was found, or (with `verify`) when
            it has the cells in another order than the published one.
        """
        path = Path(path)
        try:
            with path.open("rb") as stream:
                text = stream.read(_MOST_BYTES).decode("utf-8", "replace").strip()
        except OSError as error:
            raise UserError(f"cannot read the index order {path}: {error.strerror}") from error
        start, end = text.find("["), text.rfind("]")
        try:
            codes = json.loads(text[start : end + 1])
        except (ValueError, RecursionError):
            codes = None
        good = isinstance(codes, list) and all(isinstance(code, str) for code in codes)
        if not good or not is_complete(codes):
            kind = "an HTML page" if text[:200].lstrip().startswith("<") else "cut short or changed"
            raise UserError(
                f"{path} is not the benchmark's ops.json ({kind}, it starts with "
                f"{text[:20]!r}); download it again"
            )
        if verify:
            refuse_other_order(path, codes)
        return cls(codes)

    def genotype(self, index: int) -> Genotype:
        """The cell with this index."""
        if index not in range(NUM_CELLS):
            raise UserError(f"index {index} is outside 0..{NUM_CELLS - 1}")
        return Genotype.parse(self.codes[index])

    def index(self, genotype: Genotype) -> int:
        """The index of a cell."""
        return self._index[genotype.code]

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {code: index for index, code in enumerate(self.codes)}


@functools.cache
def published_order() -> IndexOrder:
    """The published order: all codes in ascending order, shuffled by Python with seed 88.

    Source: the code of Dong & Yang 2020, arXiv:2001.00326, which checks some of its indices; here a
            hash of the whole order is compared.
    """
    codes = [""]
    for _ in range(NUM_EDGES):
        codes = [code + op for code in codes for op in map(str, range(NUM_OPS))]
    _shuffle(codes, random.Random(ORDER_SEED))
    if not is_published_order(codes):
        raise RuntimeError("this Python draws other random numbers than the published order needs")
    return IndexOrder(codes)


def _shuffle(codes: list[str], rng: random.Random) -> None:
    """`rng.shuffle(codes)`, written out: it takes half the time, and stays what it is."""
    draw = rng.getrandbits
    for place in range(len(codes) - 1, 0, -1):
        bits = (place + 1).bit_length()
        other = draw(bits)
        while other > place:
            other = draw(bits)
        codes[place], codes[other] = codes[other], codes[place]


def is_published_order(codes: Sequence[str]) -> bool:
    """Whether these codes are all cells in their published order."""
    return hashlib.md5("\n".join(codes).encode(), usedforsecurity=False).hexdigest() == ORDER_MD5


def is_complete(codes: Sequence[str]) -> bool:
    """Whether these codes are all cells, each once, in whatever order."""
    # The hash takes a tenth of the time of sorting.
    return is_published_order(codes) or sorted(codes) == sorted(published_order().codes)


def refuse_other_order(path: Path, codes: Sequence[str]) -> None:
    """Raise a UserError that names the file unless the codes are in their published order."""
    if not is_published_order(codes):
        raise UserError(
            f"{path} has the cells in another order than the published one, in which every index"
            f" would name another cell; download it again ({named('benchmark')} --no-verify reads"
            " it as it is)"
        )


def find_index_order(data_root: Path | None, *, verify: bool = True) -> IndexOrder:
    """The order in `robbench201/ops.json` under the data root, else the published one."""
    path = None if data_root is None else data_root / "robbench201" / "ops.json"
    if path is None or not path.is_file():
        return published_order()
    return IndexOrder.load(path, verify=verify)


def resolve(text: str, order: IndexOrder | None = None) -> Genotype:
    """Read a cell from its string, its six-digit code, or (one to five digits) its index.

    The index counts in `order`, by default the published one. Raises: UserError for a bad cell.
    """
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,5}", text):
        return Genotype.parse(text)
    return (order or published_order()).genotype(int(text))
