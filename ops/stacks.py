"""The kernels and statistics of a stage's mixed cells, kept as few large tensors.

A stage has N cells of C channels, a cell 6 edges, an edge a 1x1 and a 3x3 convolution with their
batch norms. One tensor holds all kernels of one size, (N 6 C, C, k, k): a cell after the other, and
in a cell its edges in the order of ORDER, so that the edges that leave one node lie side by side
and are one kernel of a convolution as they are. An optimiser has two tensors of a stage instead of
12 N, and a fold is a few operators for all cells.

The modules of the edges are views of these tensors: `state_dict` has a name for each of them.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import ReLUConvBN
from ops.space import CONV1, CONV3, NUM_EDGES, OUTGOING

ORDER = tuple(e for edges in OUTGOING for e in edges)
"""The edges in the order of their kernels: by the node that they leave."""

PLACE = tuple(ORDER.index(e) for e in range(NUM_EDGES))
"""Where in that order an edge is."""

SIZES = (1, 3)
CONVS = (CONV1, CONV3)


class CellKernels(NamedTuple):
    """The kernels of a cell, 1x1 and 3x3: three stacks by source node, or six by place."""

    size1: Sequence[Tensor]
    size3: Sequence[Tensor]


Part = tuple[nn.Parameter, slice]
"""A parameter and rows of it."""


class Moments(NamedTuple):
    """Batch statistics of one cell: for each of nodes 1, 2, 3 mean and biased var (S, 2, C) of its
    S incoming edges, and `bessel` of their count."""

    mean: Sequence[Tensor]
    var: Sequence[Tensor]
    correction: float | Tensor


class Stack(nn.Module):
    """The kernels (parameters) and running statistics (buffers) of N cells.

    `running_mean`, `running_var` (N, 12, C) and `num_batches_tracked` (N, 12) have the edges in
    alpha's order, of each the 1x1 and the 3x3 convolution. They have three axes, because torch lays
    out tensors of four channels-last. Cells join with `adopt`.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, C: int, N: int) -> None:
        super().__init__()
        self.C, self.N = C, N
        rows = N * NUM_EDGES * C
        self.conv1 = nn.Parameter(torch.empty(rows, C, 1, 1))
        self.conv3 = nn.Parameter(torch.empty(rows, C, 3, 3))
        shape = (N, 2 * NUM_EDGES, C)
        self.register_buffer("running_mean", torch.zeros(shape), persistent=False)
        self.register_buffer("running_var", torch.ones(shape), persistent=False)
        counts = torch.zeros(shape[:2], dtype=torch.long)
        self.register_buffer("num_batches_tracked", counts, persistent=False)
        self._edges: list[list[Any]] = []
        self.touched: tuple[set[int], set[int]] = (set(), set())
        """Of both kernels: the edges (6 number of the cell + place) that a backward pass reached
        since `touched` was cleared. SGD leaves the others as they are."""

    def adopt(self, edges: Sequence[Any]) -> int:
        """Take over the operators of the next cell's edges; returns the number of the cell."""
        number = len(self._edges)
        assert number < self.N
        self._edges.append(list(edges))
        with torch.no_grad():
            for e, edge in enumerate(edges):
                for size, op in zip(SIZES, CONVS, strict=True):
                    conv = SharedConv(self, number, e, size)
                    conv.weight.copy_(edge.ops[op].conv.weight)
                    edge.ops[op] = SharedReLUConvBN(conv, edge.ops[op].bn)
        self.bind()
        return number

    def bind(self) -> None:
        """Make the buffers of all norms views again, after tensors were moved or converted."""
        for number, e, i, norm in self._norms():
            if norm.num_batches_tracked is None:  # inside kept_statistics
                raise RuntimeError("a supernet is not moved while its statistics are held")
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                norm._buffers[name] = getattr(self, name)[number, 2 * e + i]

    def _norms(self) -> Iterable[tuple[int, int, int, Any]]:
        for number, edges in enumerate(self._edges):
            for e, edge in enumerate(edges):
                for i, op in enumerate(CONVS):
                    yield number, e, i, edge.ops[op].bn

    def rows(self, number: int, place: int, count: int = 1) -> slice:
        """Of a kernel tensor: those of `count` edges of a cell from this place on."""
        start = (number * NUM_EDGES + place) * self.C
        return slice(start, start + count * self.C)

    def of_places(self) -> list[CellKernels]:
        """The kernels of every cell, edge by edge, for one forward pass."""
        return self._pass([1] * NUM_EDGES)

    def of_sources(self) -> list[CellKernels]:
        """The kernels of every cell, stacked by source node, for one forward pass."""
        return self._pass([len(edges) for edges in OUTGOING if edges])

    def _pass(self, edges: list[int]) -> list[CellKernels]:
        each = len(edges)
        both = [
            _parts(whole, edges * self.N, self.C, touched)
            for whole, touched in zip((self.conv1, self.conv3), self.touched, strict=True)
        ]
        return [
            CellKernels(*(parts[n * each : (n + 1) * each] for parts in both))
            for n in range(self.N)
        ]

    @torch.no_grad()
    def track(self, number: int, moments: Sequence[Moments]) -> None:
        """Running statistics of the cells from `number` on, as nn.BatchNorm2d keeps them.

        Momentum 0.1, unbiased variance.
        """
        end = number + len(moments)
        norms = [norm for cell, _, _, norm in self._norms() if number <= cell < end]
        # One piece of a node after the other is one of an edge after the other.
        mean, var = (
            torch.cat([piece for cell in some for piece in cell]).view(end - number, -1, self.C)
            for some in list(zip(*moments, strict=True))[:2]
        )
        if norms[0].recording:
            pairs = zip(norms, mean.flatten(0, 1), var.flatten(0, 1), strict=True)
            for norm, m, v in pairs:
                norm.batch_statistics = (m, v)
        momentum = norms[0].momentum
        if momentum == 0:  # inside kept_statistics
            return
        cells = slice(number, end)
        self.running_mean[cells].lerp_(mean, momentum)
        self.running_var[cells].lerp_(var * moments[0].correction, momentum)
        self.num_batches_tracked[cells].add_(1)

    def reached(self, by_edge: bool) -> list[Part]:
        """The rows of both kernels that a backward pass reached since `touched` was cleared.

        Whole kernels where it reached all of them, unless `by_edge`: then edge by edge.
        """
        kernels = (self.conv1, self.conv3)
        if not by_edge and self.complete:
            return [(kernel, slice(None)) for kernel in kernels]
        return [
            (kernel, self.rows(number, place))
            for number in range(self.N)
            for place in PLACE
            for kernel, touched in zip(kernels, self._reached, strict=True)
            if number * NUM_EDGES + place in touched
        ]

    @property
    def _reached(self) -> list[Collection[int]]:
        """`touched`; a compiled pass notes nothing there, and counts as one that reached all edges,
        which that of a mixture does."""
        everything = range(self.N * NUM_EDGES)
        return [
            everything if not touched and kernel.grad is not None else touched
            for kernel, touched in zip((self.conv1, self.conv3), self.touched, strict=True)
        ]

    @property
    def complete(self) -> bool:
        """Whether a backward pass reached every edge."""
        return all(len(touched) == self.N * NUM_EDGES for touched in self._reached)

    def forget(self) -> None:
        """Drop the gradients, and what was reached."""
        for kernel, touched in zip((self.conv1, self.conv3), self.touched, strict=True):
            kernel.grad = None
            touched.clear()

    def statistics(self, which: str) -> tuple[Tensor, Tensor]:
        """(mean, var), both (N, 6, 2, C): the running ones, or "batch" where norms recorded some.

        Raises: ValueError for "batch" before a recorded forward pass.
        """
        shape = (self.N, NUM_EDGES, 2, self.C)
        if which == "running":
            return self.running_mean.view(shape), self.running_var.view(shape)
        pairs = [
            getattr(norm, "batch_statistics", None) or (norm.running_mean, norm.running_var)
            for _, _, _, norm in self._norms()
        ]
        if all(norm.batch_statistics is None for _, _, _, norm in self._norms()):
            raise ValueError("statistics='batch' needs a recorded forward pass: give x")
        mean, var = (torch.stack(values) for values in zip(*pairs, strict=True))
        return mean.view(shape), var.view(shape)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Nothing: the edges have it."""

    def _load_from_state_dict(self, *arguments: Any) -> None:
        """Nothing: the edges have it."""


class SharedConv(nn.Module):
    """One edge's convolution, whose kernel is a part of a stack."""

    def __init__(self, stack: Stack, number: int, edge: int, size: int) -> None:
        super().__init__()
        # In a tuple, so that the stack does not become a part of the module.
        self._of = (stack, number, PLACE[edge], SIZES.index(size))

    @property
    def weight(self) -> Tensor:
        """The kernel (C, C, k, k), with its gradient to the whole stack."""
        stack, number, place, which = self._of
        whole = (stack.conv1, stack.conv3)[which]
        rows = stack.rows(number, place)
        needed = torch.is_grad_enabled() and whole.requires_grad
        if not needed or torch.compiler.is_compiling():  # which cannot note what is touched
            return whole[rows]
        edge = number * NUM_EDGES + place
        part: Tensor = _Part.apply(whole, rows.start, stack.C, edge, stack.touched[which])
        return part

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.weight if keep_vars else self.weight.detach()

    def _load_from_state_dict(
        self, state: Any, prefix: str, metadata: Any, strict: bool, missing: list[str],
        unexpected: list[str], errors: list[str],
    ) -> None:  # fmt: skip
        name = prefix + "weight"
        found, mine = state.get(name), self.weight.detach()
        if found is None:
            if strict:
                missing.append(name)
        elif found.shape != mine.shape:
            errors.append(f"{name} has shape {tuple(found.shape)}, expected {tuple(mine.shape)}")
        else:
            mine.copy_(found)
        if strict:
            unexpected += [key for key in state if key.startswith(prefix) and key != name]


class SharedReLUConvBN(ReLUConvBN):
    """A ReLUConvBN with the kernel of a stack; a caller may hand the kernel in."""

    def __init__(self, conv: SharedConv, bn: nn.BatchNorm2d) -> None:
        nn.Module.__init__(self)
        self.conv: Any = conv
        self.bn = bn

    def with_kernel(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The operator with this kernel, which is its own, for autograd to see."""
        out: Tensor = self.bn(F.conv2d(F.relu(x), kernel, padding=kernel.shape[-1] // 2))
        return out


def _parts(whole: Tensor, edges: list[int], C: int, touched: set[int]) -> Sequence[Tensor]:
    """`whole` cut into pieces of so many edges: views, of which backward makes one gradient."""
    if torch.is_grad_enabled() and whole.requires_grad:
        if torch.compiler.is_compiling():
            # A function of our own would break the graph, and so would noting what is touched.
            return whole.split([n * C for n in edges])
        parts: Sequence[Tensor] = _Parts.apply(whole, edges, C, touched)
        return parts
    return whole.split([n * C for n in edges])


class _Parts(torch.autograd.Function):
    """Views of a tensor; the gradient of the tensor is put together once, from all of theirs.

    Differs from `split`: parts that nothing came back to are noted, and cost no launch each.
    """

    @staticmethod
    def forward(ctx: Any, whole: Tensor, edges: list[int], C: int, touched: set[int]) -> Any:
        ctx.edges, ctx.C, ctx.touched = edges, C, touched
        ctx.like = whole.detach()
        ctx.set_materialize_grads(False)
        return whole.split([n * C for n in edges])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        first, some, places = 0, [], []
        for count, g in zip(ctx.edges, grads, strict=True):
            if g is not None:
                some.append(g)
                places.append((first, count))
                ctx.touched.update(range(first, first + count))
            first += count
        if len(some) == len(grads):
            return torch.cat(some), None, None, None
        if not some:
            return None, None, None, None
        gradient = torch.zeros_like(ctx.like)
        C = ctx.C
        targets = [gradient[first * C : (first + n) * C] for first, n in places]
        if torch.is_grad_enabled():  # a second derivative
            for target, g in zip(targets, some, strict=True):
                target.copy_(g)
        else:
            torch._foreach_copy_(targets, some)
        return gradient, None, None, None


class _Part(torch.autograd.Function):
    """One piece of a tensor, for the forms that take their kernels one by one."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, start: int, C: int, edge: int, touched: set[int]) -> Any:
        ctx.start, ctx.edge, ctx.touched = start, edge, touched
        ctx.like = whole.detach()
        return whole[start : start + C]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        ctx.touched.add(ctx.edge)
        gradient = torch.zeros_like(ctx.like)
        gradient[ctx.start : ctx.start + len(g)] = g
        return gradient, None, None, None, None
