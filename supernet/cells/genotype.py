"""The search space: a NAS-Bench-201 cell as string, six-digit code and isomorphism class.

Source: Dong & Yang 2020, arXiv:2001.00326. `supernet.cells.order` has the published index. No torch
here.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ops.space import CONV1, CONV3, EDGES, INCOMING, NONE, NUM_EDGES, NUM_OPS, OP_NAMES, SKIP
from supernet.cells.cost import Cost
from supernet.errors import UserError

NUM_CELLS = NUM_OPS**NUM_EDGES
_LONGEST = 200
"""Characters of a cell; the longest string of one has 102."""


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
        if len(text) > _LONGEST:
            raise UserError(
                f"a cell of {len(text):,} characters was given ('{text[:20]}...'); write six"
                " digits or |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            )
        if re.fullmatch(r"[0-9]+", text):
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


def all_genotypes() -> Iterator[Genotype]:
    """The 15,625 cells in the order of their codes."""
    return (Genotype(ops) for ops in itertools.product(range(NUM_OPS), repeat=NUM_EDGES))
