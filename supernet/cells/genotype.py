"""The search space: a NAS-Bench-201 cell as string, six-digit code, published index and class.

Source: Dong & Yang 2020, arXiv:2001.00326. The published index is an arbitrary order which only the
benchmark's own `ops.json` gives (`IndexOrder`); strings, codes and classes need no file.
No torch here.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ops.space import CONV1, CONV3, EDGES, INCOMING, NONE, NUM_EDGES, NUM_OPS, OP_NAMES, SKIP
from supernet.errors import UserError

NUM_CELLS = NUM_OPS**NUM_EDGES
ORDER_MD5 = "5b8fd04c035e06a14c89219d4a91317e"
"""Of the 15,625 codes in published order, joined by newlines. (Of the strings it is
1985aacc268bf045d31ddeecaaac0dc0; writing those out would take fifty times as long.)"""


@dataclass(frozen=True, order=True)
class Genotype:
    """One cell: an operator number for each of the six edges (orders of `ops.space`).

    Raises: ValueError for another number of edges or an operator number outside 0..4.
    """

    ops: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.ops) != NUM_EDGES:
            raise UserError(f"a cell has {NUM_EDGES} edges, {len(self.ops)} were given")
        for edge, op in enumerate(self.ops):
            if op not in range(NUM_OPS):
                raise UserError(f"{_edge_name(edge)}: operator number {op} is not in 0..4")

    @classmethod
    def parse(cls, text: str) -> "Genotype":
        """Read a cell from `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|` or from its six-digit code.

        Raises: UserError that says what is wrong at which edge.
        """
        text = text.strip()
        if re.fullmatch(r"\d+", text):
            return cls._parse_code(text)
        return cls._parse_arch(text)

    @classmethod
    def _parse_code(cls, text: str) -> "Genotype":
        if len(text) != NUM_EDGES:
            raise UserError(f"code '{text}' has {len(text)} digits; a code has one per edge: 6")
        for edge, digit in enumerate(text):
            if int(digit) >= NUM_OPS:
                raise UserError(
                    f"code '{text}', {_edge_name(edge)}: digit {digit} names no operator; "
                    f"use 0..4 for {', '.join(OP_NAMES)}"
                )
        return cls(tuple(int(digit) for digit in text))

    @classmethod
    def _parse_arch(cls, text: str) -> "Genotype":
        groups = text.split("+")
        if len(groups) != 3:
            raise UserError(
                f"cell '{text}' has {len(groups)} node groups between '+'; it needs 3, as in "
                "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            )
        ops: list[int] = []
        for node, group in enumerate(groups, start=1):
            if len(group) < 2 or group[0] != "|" or group[-1] != "|":
                raise UserError(f"cell '{text}', node {node}: '{group}' must start and end with |")
            parts = group[1:-1].split("|")
            if len(parts) != node:
                raise UserError(
                    f"cell '{text}', node {node}: {len(parts)} edges were given, it has {node}"
                )
            ops.extend(_parse_edge(part, node, source) for source, part in enumerate(parts))
        return cls(tuple(ops))

    @property
    def arch(self) -> str:
        """The NAS-Bench-201 string."""
        groups = (
            "|" + "|".join(f"{OP_NAMES[self.ops[e]]}~{EDGES[e][1]}" for e in INCOMING[node]) + "|"
            for node in (1, 2, 3)
        )
        return "+".join(groups)

    @property
    def code(self) -> str:
        """Six digits: the operator number of each edge."""
        return "".join(map(str, self.ops))

    @cached_property
    def canonical(self) -> str:
        """The isomorphism class: equal for cells that compute the same function.

        Node 0 is "0"; an in-edge with `none` or a dead source is "#", a skip is its source's
        string, any other operator is "(source)@op"; a node is its sorted parts joined by "+".
        Dead parts stay in the string, as in the benchmark's own 6,466 classes.
        """
        nodes = ["0"]
        for node in (1, 2, 3):
            parts = []
            for edge in INCOMING[node]:
                op, source = self.ops[edge], nodes[EDGES[edge][1]]
                if op == NONE or source == "#":
                    parts.append("#")
                elif op == SKIP:
                    parts.append(source)
                else:
                    parts.append(f"({source})@{OP_NAMES[op]}")
            nodes.append("+".join(sorted(parts)))
        return nodes[3]

    @property
    def is_connected(self) -> bool:
        """Whether any path leads from the cell's input to its output."""
        alive = [True, False, False, False]
        for (node, source), op in zip(EDGES, self.ops, strict=True):
            alive[node] |= alive[source] and op != NONE
        return alive[3]

    def count(self, op: int) -> int:
        """The number of edges that carry operator number `op`."""
        return self.ops.count(op)

    def params(self, num_classes: int = 10, C: int = 16, N: int = 5) -> int:
        """Trainable parameters of the derived network (`Cost` has the formula)."""
        return sum(self._linear(*Cost.params(num_classes, C, N)))

    def flops(self, num_classes: int = 10, image_size: int = 32, C: int = 16, N: int = 5) -> int:
        """Multiply-adds of convolutions and classifier for one image (`Cost` has the formula)."""
        return sum(self._linear(*Cost.flops(num_classes, image_size, C, N)))

    def cost(self, metric: str, num_classes: int, image_size: int) -> int:
        """params or flops of the stand-alone network (C=16, N=5), by the metric's name."""
        if metric == "params":
            return self.params(num_classes)
        return self.flops(num_classes, image_size)

    def _linear(self, base: int, per_conv1: int, per_conv3: int) -> tuple[int, int, int]:
        return base, per_conv1 * self.count(CONV1), per_conv3 * self.count(CONV3)

    def replace(self, edge: int, op: int) -> "Genotype":
        """The cell with operator number `op` on edge number `edge`."""
        return Genotype((*self.ops[:edge], op, *self.ops[edge + 1 :]))

    def neighbours(self) -> list["Genotype"]:
        """The 24 cells that differ in one edge, in the order of edges and operators."""
        return [
            self.replace(edge, op)
            for edge in range(NUM_EDGES)
            for op in range(NUM_OPS)
            if op != self.ops[edge]
        ]


def _edge_name(edge: int) -> str:
    node, source = EDGES[edge]
    return f"edge {edge} (node {node} from {source})"


def _parse_edge(part: str, node: int, source: int) -> int:
    where = f"edge {EDGES.index((node, source))} (node {node} from {source})"
    name, tilde, number = part.rpartition("~")
    if not tilde:
        raise UserError(f"{where}: '{part}' has no '~'; write op~{source}")
    if number != str(source):
        raise UserError(f"{where}: '{part}' names source {number}; it must be ~{source}")
    if name not in OP_NAMES:
        raise UserError(
            f"{where}: unknown operator '{name}'; the operators are {', '.join(OP_NAMES)}"
        )
    return OP_NAMES.index(name)


class Cost:
    """Parameters and multiply-adds of the derived network: base + a * n_1x1 + b * n_3x3.

    Closed forms for the skeleton of `supernet.nets.networks` with stages of N cells at C, 2C and 4C
    channels and K classes. C=16, N=5, K=10, 32x32: 73,306 + 28,000 n_1x1 + 243,040 n_3x3 parameters
    and 7,783,050 + 3,932,160 n_1x1 + 35,389,440 n_3x3 multiply-adds. Skip, pool and none are free.
    """

    @staticmethod
    def params(num_classes: int = 10, C: int = 16, N: int = 5) -> tuple[int, int, int]:
        """(base, per 1x1 edge, per 3x3 edge): convolutions, BN scale and shift, classifier."""
        widths = (C, 2 * C, 4 * C)
        stem = 27 * C + 2 * C
        # Residual block c -> d: 3x3 c->d, 3x3 d->d, two BN of d, and the shortcut's 1x1 c->d.
        blocks = sum(9 * c * d + 9 * d * d + 4 * d + c * d for c, d in itertools.pairwise(widths))
        head = 2 * widths[-1] + (widths[-1] + 1) * num_classes
        per_conv1 = N * sum(c * c + 2 * c for c in widths)
        per_conv3 = N * sum(9 * c * c + 2 * c for c in widths)
        return stem + blocks + head, per_conv1, per_conv3

    @staticmethod
    def flops(
        num_classes: int = 10, image_size: int = 32, C: int = 16, N: int = 5
    ) -> tuple[int, int, int]:
        """(base, per 1x1 edge, per 3x3 edge): multiply-adds of convolutions and classifier.

        The classifier's bias counts as one multiply-add per class, as in the published records.
        """
        widths = (C, 2 * C, 4 * C)
        # A stride-2 convolution with padding 1 gives ceil(side / 2), a 2x2 pool floor(side / 2).
        # The skeleton asks for sides that 4 divides, where they agree.
        areas = (image_size**2, (image_size // 2) ** 2, (image_size // 4) ** 2)
        blocks = sum(
            area * (9 * c * d + 9 * d * d + c * d)
            for (c, d), area in zip(itertools.pairwise(widths), areas[1:], strict=True)
        )
        base = 27 * C * areas[0] + blocks + (widths[-1] + 1) * num_classes
        per_conv1 = N * sum(a * c * c for a, c in zip(areas, widths, strict=True))
        return base, per_conv1, 9 * per_conv1


def all_genotypes() -> Iterator[Genotype]:
    """The 15,625 cells in the order of their codes."""
    return (Genotype(ops) for ops in itertools.product(range(NUM_OPS), repeat=NUM_EDGES))


class IndexOrder:
    """The published order of the 15,625 cells, from the benchmark's `ops.json`."""

    def __init__(self, codes: Sequence[str]) -> None:
        self.codes = tuple(codes)
        self._index = {code: index for index, code in enumerate(self.codes)}

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True) -> "IndexOrder":
        """Read `ops.json`: a JavaScript assignment `arch=[...];` or a bare JSON list of codes.

        Raises: UserError when the file is not that, naming what was found, or (with `verify`) when
            it has the cells in another order than the published one.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise UserError(f"cannot read the index order {path}: {error.strerror}") from error
        start, end = text.find("["), text.rfind("]")
        try:
            codes = json.loads(text[start : end + 1])
        except ValueError:
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
        """The cell with this published index."""
        if index not in range(NUM_CELLS):
            raise UserError(f"index {index} is outside 0..{NUM_CELLS - 1}")
        return Genotype.parse(self.codes[index])

    def index(self, genotype: Genotype) -> int:
        """The published index of a cell."""
        return self._index[genotype.code]


def is_published_order(codes: Sequence[str]) -> bool:
    """Whether these codes are all cells in their published order."""
    return hashlib.md5("\n".join(codes).encode()).hexdigest() == ORDER_MD5


def is_complete(codes: Sequence[str]) -> bool:
    """Whether these codes are all cells, each once, in whatever order."""
    # The order's hash takes a hundredth of the time of naming all cells.
    return is_published_order(codes) or sorted(codes) == [cell.code for cell in all_genotypes()]


def refuse_other_order(path: Path, codes: Sequence[str]) -> None:
    """Raise a UserError that names the file unless the codes are in their published order."""
    if not is_published_order(codes):
        raise UserError(
            f"{path} has the cells in another order than the published one, in which every index"
            " would name another cell; download it again (scripts/benchmark.py --no-verify reads"
            " it as it is)"
        )


def find_index_order(data_root: Path | None, *, verify: bool = True) -> IndexOrder | None:
    """The published order, from `robbench201/ops.json` under the data root, or None."""
    path = None if data_root is None else data_root / "robbench201" / "ops.json"
    return IndexOrder.load(path, verify=verify) if path is not None and path.is_file() else None


def resolve(text: str, order: IndexOrder | None = None) -> Genotype:
    """Read a cell from its string, its six-digit code, or (one to five digits) its index.

    Raises: UserError for a bad cell, or for an index while the published order is not at hand.
    """
    text = text.strip()
    if not re.fullmatch(r"\d{1,5}", text):
        return Genotype.parse(text)
    if order is None:
        raise UserError(
            f"index {text} needs the benchmark's ops.json (name its folder with --data-root); "
            "without it give the cell's string or six-digit code"
        )
    return order.genotype(int(text))
