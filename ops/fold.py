"""Exact folding turns a cell with frozen batch norm into few convolutions, to attack or infer.

With BN frozen at (mean, sigma), every edge is affine in (v, relu(v)):

    mixed(v) = w_skip v + w_pool avgpool3x3(v) + conv3x3(relu(v); W') + b'
    W' = (w_3x3 / sigma_3) W_3x3 + centre((w_1x1 / sigma_1) W_1x1)
    b' = - w_3x3 mean_3 / sigma_3 - w_1x1 mean_1 / sigma_1        (gamma and beta where affine)

and the edges that leave one node read one relu, so they are one convolution. This is algebra, not
approximation. Folded forms give gradients with respect to their input only.

B images, C channels, H x W pixels.
"""

import copy
import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cuda_ext.mixed_cell import attack_cell
from cuda_ext.mixed_op import attack_node
from ops.candidates import BN_EPS, AvgPool3x3, ReLUConvBN, Zero, avg_pool3x3, scale_shift
from ops.mixed import MixedCell, Ops, resolve_impl
from ops.space import (
    CONV1,
    CONV3,
    EDGES,
    INCOMING,
    NUM_EDGES,
    NUM_OPS,
    OUTGOING,
    POOL,
    SKIP,
)  # fmt: skip
from ops.stacks import ORDER, Stack

STATISTICS = ("running", "batch")
"""What frozen BN normalises with: the running estimates, or those of one recorded clean batch."""


@dataclass(frozen=True)
class FoldedConv:
    """y = conv(x; weight) + bias, with `stride` and "same" padding."""

    weight: Tensor
    bias: Tensor
    stride: int = 1

    def to(self, dtype: torch.dtype) -> "FoldedConv":
        return FoldedConv(self.weight.to(dtype), self.bias.to(dtype), self.stride)

    def __call__(self, x: Tensor) -> Tensor:
        padding = self.weight.shape[-1] // 2
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=padding)


def fold_conv_bn(conv: nn.Conv2d, bn: nn.BatchNorm2d, statistics: str) -> FoldedConv:
    """conv (no bias) followed by frozen bn, as one convolution with a bias."""
    scale, shift = scale_shift(bn, statistics)
    weight = conv.weight.detach() * scale[:, None, None, None]
    return FoldedConv(_channels_last(weight), shift, conv.stride[0])


@dataclass
class _Edge:
    """One folded edge: w_skip v + w_pool avgpool(v) + conv(relu(v); kernel) + bias."""

    kernel: Tensor
    bias: Tensor
    skip: Tensor
    pool: Tensor
    has: set[str] = dataclasses.field(default_factory=set)
    """Which of kernel, skip and pool an operator gave."""


def _fold_edge(weighted_ops: Sequence[tuple[Tensor, nn.Module]], C: int, statistics: str) -> _Edge:
    like = weighted_ops[0][0]
    zero = like.new_zeros(())
    edge = _Edge(like.new_zeros(C, C, 3, 3), like.new_zeros(C), zero, zero)
    for w, op in weighted_ops:
        if isinstance(op, ReLUConvBN):
            scale, shift = scale_shift(op.bn, statistics)
            kernel = op.conv.weight.detach() * (w * scale)[:, None, None, None]
            if kernel.shape[-1] == 1:
                # A 1x1 kernel is the centre tap of a 3x3 one.
                kernel = F.pad(kernel, (1, 1, 1, 1))
            edge.kernel = edge.kernel + kernel
            edge.has.add("kernel")
            edge.bias = edge.bias + w * shift
        elif isinstance(op, nn.Identity):
            edge.skip = edge.skip + w
            edge.has.add("skip")
        elif isinstance(op, AvgPool3x3):
            edge.pool = edge.pool + w
            edge.has.add("pool")
        else:
            assert isinstance(op, Zero), f"no folding rule for {type(op).__name__}"
    return edge


@dataclass(frozen=True)
class FoldedCell:
    """A folded cell. Called with (v, relu(v)) of its input, returns (out, relu(out)).

    `kernels` are three stacks by source node, `bias` is (3, C), `weights` (6, 2) = (skip, pool).
    The native form gives its gradient through v and out alone, and takes the relus as constants:
    the next cell, handed both, adds the path through the relu to the gradient of v.
    """

    kernels: Sequence[Tensor]
    bias: Tensor
    weights: Tensor
    native: bool

    def __call__(self, v: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        if self.native:
            return attack_cell(v, r.detach(), self.weights, self.kernels, self.bias)
        nodes: list[Tensor] = [v]
        z: dict[int, Tensor] = {}
        for node, incoming in enumerate(INCOMING[1:], start=1):
            y = F.conv2d(r, self.kernels[node - 1], padding=1)
            z.update(zip(OUTGOING[node - 1], y.split(v.shape[1], dim=1), strict=True))
            v, r = attack_node(
                [nodes[EDGES[e][1]] for e in incoming],
                [z[e] for e in incoming],
                self.weights[incoming[0] : incoming[-1] + 1],
                self.bias[node - 1],
                impl="reference",
            )
            nodes.append(v)
        return v, r


@dataclass(frozen=True)
class FoldedStage:
    """The N folded cells of a stage, one after the other, in few tensors.

    `kernel` is (N 6 C, C, 3, 3) in the order of `ops.stacks`, `bias` (N, 3, C), `weights` (6, 2).
    """

    kernel: Tensor
    bias: Tensor
    weights: Tensor
    native: bool

    def to(self, dtype: torch.dtype) -> "FoldedStage":
        """The stage for activations of this dtype; the few edge weights and biases stay exact."""
        return dataclasses.replace(self, kernel=self.kernel.to(dtype))

    def cells(self) -> list[FoldedCell]:
        """Views, cell by cell."""
        C = self.kernel.shape[1]
        sizes = [len(edges) * C for edges in OUTGOING if edges]
        kernels = self.kernel.split(sizes * len(self.bias))
        return [
            FoldedCell(kernels[3 * n : 3 * n + 3], bias, self.weights, self.native)
            for n, bias in enumerate(self.bias)
        ]

    def __call__(self, v: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        for cell in self.cells():
            v, r = cell(v, r)
        return v, r


class SparseFoldedCell:
    """A folded cell with one operator of weight 1 on each edge: what is not there is left out."""

    def __init__(self, edges: Sequence[_Edge], C: int) -> None:
        self.C = C
        self.skip = ["skip" in edge.has for edge in edges]
        self.pool = ["pool" in edge.has for edge in edges]
        self.conv_edges = [[e for e in OUTGOING[j] if "kernel" in edges[e].has] for j in range(3)]
        self.kernels = [
            _channels_last(torch.cat([edges[e].kernel for e in live])) if live else None
            for live in self.conv_edges
        ]
        self.bias = _node_biases(edges)

    def to(self, dtype: torch.dtype) -> "SparseFoldedCell":
        """The cell for activations of this dtype."""
        cell = copy.copy(self)
        cell.kernels = [None if k is None else k.to(dtype) for k in self.kernels]
        cell.bias = self.bias.to(dtype)
        return cell

    def __call__(self, v: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        nodes: list[Tensor] = [v]
        z: dict[int, Tensor] = {}
        pooled: dict[int, Tensor] = {}
        for node, incoming in enumerate(INCOMING[1:], start=1):
            source = node - 1
            kernel = self.kernels[source]
            if kernel is not None:
                y = F.conv2d(r, kernel, padding=1)
                z.update(zip(self.conv_edges[source], y.split(self.C, dim=1), strict=True))
            if any(self.pool[e] for e in OUTGOING[source]):
                pooled[source] = avg_pool3x3(nodes[source])
            terms = [self.bias[source][:, None, None].expand_as(v)]
            for e in incoming:
                j = EDGES[e][1]
                if self.skip[e]:
                    terms.append(nodes[j])
                if self.pool[e]:
                    terms.append(pooled[j])
                if e in z:
                    terms.append(z[e])
            if len(terms) == 1:
                # A dead node is constant, yet attacks ask for its (zero) gradient.
                terms.append(nodes[0] * 0.0)
            v = sum(terms[1:], terms[0])
            r = F.relu(v)
            nodes.append(v)
        return v, r


def _node_biases(edges: Sequence[_Edge]) -> Tensor:
    """(3, C): the biases of each node's incoming edges, summed."""
    return torch.stack([torch.stack([edges[e].bias for e in into]).sum(0) for into in INCOMING[1:]])


@torch.no_grad()
def fold_stage(
    stack: Stack, w_EO: Tensor, *, statistics: str = "running", impl: str = "auto"
) -> FoldedStage:
    """Fold all cells of a stage with edge weights w_EO (6, 5), in 15 operators.

    Gradient: none to w_EO or the weights; the folded cells give gradients to their input.
    Raises:   ValueError for unknown statistics, or "batch" before a recorded forward pass.
    """
    _check_statistics(statistics)
    N, C, w_EO = stack.N, stack.C, w_EO.detach()
    mean, var = stack.statistics(statistics)
    scale = torch.rsqrt(var + BN_EPS)
    w = w_EO[None, :, CONV1 : CONV3 + 1, None]
    factor, shifts = w * scale, w * (-scale * mean)
    edge_bias = shifts[:, :, 0] + shifts[:, :, 1]
    node_bias = [functools.reduce(operator.add, (edge_bias[:, e] for e in i)) for i in INCOMING[1:]]
    by_place = torch.stack([factor[:, e] for e in ORDER], dim=1)[..., None, None, None]
    kernel = stack.conv3.unflatten(0, (N, NUM_EDGES, C)) * by_place[:, :, 1]
    # A 1x1 kernel is the centre tap of a 3x3 one.
    kernel[..., 1:2, 1:2].add_(stack.conv1.unflatten(0, (N, NUM_EDGES, C)) * by_place[:, :, 0])
    return FoldedStage(
        kernel=_channels_last(kernel.flatten(0, 2)),
        bias=torch.stack(node_bias, dim=1),
        weights=w_EO[:, SKIP : POOL + 1 : POOL - SKIP].contiguous(),
        native=resolve_impl(impl, kernel.device.type, kernel.dtype) == "native",
    )


def fold_mixture(
    cell: MixedCell, w_EO: Tensor, *, statistics: str = "running", impl: str = "auto"
) -> FoldedCell:
    """Fold one mixed cell; else as `fold_stage`."""
    return fold_stage(cell.stack, w_EO, statistics=statistics, impl=impl).cells()[cell.number]


def one_hot(ops: Ops, like: Tensor) -> Tensor:
    """w_EO (6, 5) with weight 1 for operator ops[e] of edge e, on the device and of the type of
    `like`. It is filled there: a tensor of Python's numbers would be copied, and the host wait."""
    w_EO = like.new_zeros(NUM_EDGES, NUM_OPS)
    for e, op in enumerate(ops):
        w_EO[e, op].fill_(1)
    return w_EO


def fold_sampled(cell: MixedCell, ops: Ops, *, statistics: str = "running") -> SparseFoldedCell:
    """Fold a mixed cell as the one cell that has operator ops[e] on edge e; else as above."""
    with torch.no_grad():
        one = cell.edges[0].ops[CONV1].conv.weight.new_ones(())
        edges = _edges(cell.C, statistics, lambda e: [(one, cell.edges[e].ops[ops[e]])])
        return SparseFoldedCell(edges, cell.C)


def fold_single(cell: Any, *, statistics: str = "running") -> SparseFoldedCell:
    """Fold a cell whose edges[e] is a single operator; else as above."""
    with torch.no_grad():
        edges = _edges(cell.C, statistics, lambda e: [(cell.unit, cell.edges[e])])
        return SparseFoldedCell(edges, cell.C)


def _edges(
    C: int, statistics: str, weighted_ops: Callable[[int], Iterable[tuple[Tensor, nn.Module]]]
) -> list[_Edge]:
    _check_statistics(statistics)
    return [_fold_edge(list(weighted_ops(e)), C, statistics) for e in range(NUM_EDGES)]


def _check_statistics(statistics: str) -> None:
    if statistics not in STATISTICS:
        raise ValueError(f"statistics '{statistics}' unknown; choose {' or '.join(STATISTICS)}")


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
