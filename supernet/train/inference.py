"""A trained network as it is deployed: batch norm folded away, dead edges removed.

A cell's node is a sum of edges. An edge whose end does not lead to the output is left out. A node
that no image reaches is constant: zero, or what batch norm adds, and its constant moves into the
biases of the nodes that it leads to. What remains computes the same logits.

B images, C channels, H x W pixels.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import avg_pool3x3, scale_shift
from ops.fold import FoldedConv, fold_conv_bn
from ops.space import CONV1, CONV3, EDGES, INCOMING, NONE, POOL, SKIP
from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedCell, DerivedNetwork
from supernet.nets.skeleton import ResidualBlock, check_images

OUTPUT = 3
"""The number of the node that is a cell's output."""


def used_edges(genotype: Genotype) -> list[int]:
    """The edges that carry an operator other than `none` and lead to the cell's output."""
    used = {OUTPUT}
    edges = []
    for edge in reversed(range(len(EDGES))):  # in the order of their ends, the last first
        node, source = EDGES[edge]
        if node in used and genotype.ops[edge] != NONE:
            used.add(source)
            edges.append(edge)
    return sorted(edges)


class InferenceCell(nn.Module):
    """A cell of convolutions with biases; every node is computed once.

    A node that is the same for every image is kept, as `constant_2` or `constant_3` of shape (C,),
    in two cases: a 3x3 convolution reads it, whose zero padding makes the border differ from the
    middle, or it is the cell's output.
    """

    def __init__(self, cell: DerivedCell) -> None:
        super().__init__()
        self.convs: Any = nn.ModuleDict()
        self.terms: dict[int, list[tuple[int, int]]] = {}
        kept = used_edges(cell.genotype)
        known: dict[int, Tensor] = {}
        for node in (1, 2, OUTPUT):
            bias = cell.get_buffer("unit").new_zeros(cell.C)
            terms = []
            for edge in (e for e in INCOMING[node] if e in kept):
                op, source = cell.genotype.ops[edge], EDGES[edge][1]
                folded = _folded(cell, edge)
                constant = _of_constant(op, known.get(source), folded)
                if constant is not None:
                    bias = bias + constant
                    continue
                if source in known:
                    self._keep(source, [], known[source])
                if folded is not None:
                    self.convs[str(edge)] = as_module(folded)
                terms.append((edge, op))
            if not terms:
                known[node] = bias
            if terms or node == OUTPUT:
                self._keep(node, terms, bias)

    @property
    def edges(self) -> int:
        """How many of the cell's six edges are computed."""
        return sum(map(len, self.terms.values()))

    def _keep(self, node: int, terms: list[tuple[int, int]], bias: Tensor) -> None:
        """Compute this node; its bias goes into a convolution, or stands alone where none is."""
        self.terms[node] = terms
        convs = [self.convs[str(edge)] for edge, op in terms if op in (CONV1, CONV3)]
        if convs:
            convs[0].bias.add_(bias)
        elif not terms or bias.any():
            self.register_parameter(f"constant_{node}", nn.Parameter(bias))

    def forward(self, x: Tensor) -> Tensor:
        nodes, relus, pools = {0: x}, dict[int, Tensor](), dict[int, Tensor]()
        for node, terms in self.terms.items():
            parts = []
            for edge, op in terms:
                source = EDGES[edge][1]
                if op == SKIP:
                    parts.append(nodes[source])
                elif op == POOL:
                    if source not in pools:
                        pools[source] = avg_pool3x3(nodes[source])
                    parts.append(pools[source])
                else:
                    if source not in relus:
                        relus[source] = F.relu(nodes[source])
                    parts.append(self.convs[str(edge)](relus[source]))
            constant = getattr(self, f"constant_{node}", None)
            if constant is not None:
                parts.append(constant[:, None, None].expand_as(x))
            nodes[node] = sum(parts[1:], parts[0])
        return nodes[OUTPUT]


def _folded(cell: DerivedCell, edge: int) -> FoldedConv | None:
    """The convolution and batch norm of an edge as one convolution; None for other operators."""
    if cell.genotype.ops[edge] not in (CONV1, CONV3):
        return None
    return fold_conv_bn(cell.edges[edge].conv, cell.edges[edge].bn, "running")


def _of_constant(op: int, source: Tensor | None, folded: FoldedConv | None) -> Tensor | None:
    """(C,) what an edge adds to its node where its source is constant; None where it is computed.

    An average over the pixels inside the image leaves a constant as it is.
    """
    if source is None or folded is None:
        return source
    active = F.relu(source)
    if not active.any():
        return folded.bias
    return None if op == CONV3 else folded.weight[:, :, 0, 0] @ active + folded.bias


class InferenceReduction(nn.Module):
    """A residual block of three convolutions."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1 = as_module(fold_conv_bn(block.conv1, block.bn1, "running"))
        self.conv2 = as_module(fold_conv_bn(block.conv2, block.bn2, "running"))
        self.shortcut = copy.deepcopy(block.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(F.relu(x))))
        return y + self.shortcut(F.avg_pool2d(x, 2))


class Affine(nn.Module):
    """scale * x + shift per channel: the last batch norm, which follows a sum."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(scale), nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None] + self.shift[:, None, None]


class InferenceNetwork(nn.Module):
    """The logits of a `DerivedNetwork` in evaluation mode, with fewer parameters and operations.

    Shapes:   images (B, 3, H, W) in [0, 1], 4 dividing H and W -> logits (B, K).
    Gradient: to the images, where they reach the logits; the weights are fixed copies.
    Raises:   ValueError for images of another shape.
    """

    @torch.no_grad()
    def __init__(self, network: DerivedNetwork) -> None:
        super().__init__()
        self.genotype, self.N = network.genotype, network.N
        self.normalize = copy.deepcopy(network.normalize)
        self.stem = as_module(fold_conv_bn(network.stem[0], network.stem[1], "running"))
        self.cells: Any = nn.ModuleList(InferenceCell(cell) for cell in network.cells)
        self.reductions = nn.ModuleList(map(_reduction, network.reductions))
        self.last = Affine(*scale_shift(network.last_bn, "running"))
        self.classifier = copy.deepcopy(network.classifier)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        check_images(x)
        x = self.stem(self.normalize(x))
        for number, cell in enumerate(self.cells):
            if number and number % self.N == 0:
                x = self.reductions[number // self.N - 1](x)
            x = cell(x)
        return self.classifier(F.relu(self.last(x)).mean(dim=(2, 3)))


def _reduction(block: nn.Module) -> InferenceReduction:
    assert isinstance(block, ResidualBlock)
    return InferenceReduction(block)


def as_module(folded: FoldedConv) -> nn.Conv2d:
    """A folded convolution as a module of its own weights, in contiguous layout."""
    out_channels, in_channels, side, _ = folded.weight.shape
    conv = nn.Conv2d(in_channels, out_channels, side, stride=folded.stride, padding=side // 2)
    conv.weight = nn.Parameter(folded.weight.clone(memory_format=torch.contiguous_format))
    conv.bias = nn.Parameter(folded.bias.clone())
    return conv


def count(network: nn.Module, side: int) -> tuple[int, int]:
    """(parameters, multiply-adds for one image of this side).

    Counted are convolutions, batch norms (one multiply-add per value) and the classifier; sums,
    relus, pools and the normalisation are not. Statistics of a batch norm are not parameters.
    """
    total = 0

    def add(module: Any, _: Any, out: Tensor) -> None:
        nonlocal total
        each = module.weight[0].numel() if isinstance(module, (nn.Conv2d, nn.Linear)) else 1
        total += each * out[0].numel()

    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, Affine)
    hooks = [m.register_forward_hook(add) for m in network.modules() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            network(next(network.parameters()).new_zeros(1, 3, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(p.numel() for p in network.parameters()), total
