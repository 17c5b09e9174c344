"""The weight-sharing network: every edge of every cell mixes all five operators."""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ops.fold import fold_sampled, fold_stage, one_hot
from ops.mixed import MixedCell, Ops, resolve_impl
from ops.stacks import Moments, Part, Stack
from supernet.nets.folded import FoldedNetwork, fold_network
from supernet.nets.skeleton import Skeleton


class Supernet(Skeleton):
    """The network that a search trains: one set of weights for all 15,625 cells.

    Edge weights are an argument, so that any strategy can be put through the same weights, and any
    one cell too. Searchable BN has neither scale nor shift. `impl` is that of `MixedCell`.
    """

    def __init__(
        self,
        *,
        C: int = 16,
        N: int = 5,
        num_classes: int = 10,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        impl: str = "auto",
    ) -> None:
        stacks: dict[int, Stack] = {}

        def make_cell(width: int) -> MixedCell:
            if width not in stacks:
                stacks[width] = Stack(width, N)
            return MixedCell(width, stacks[width])

        super().__init__(make_cell, C=C, N=N, num_classes=num_classes, mean=mean, std=std)
        # Any: a ModuleList gives plain Modules, and these are Stacks.
        self.stacks: Any = nn.ModuleList(stacks.values())
        """The kernels and running statistics of each stage's cells."""
        resolve_impl(impl)  # refuses what cannot run; "auto" is settled by the device of the images
        self.impl = impl

    def forward(self, x: Tensor, w_EO: Tensor) -> Tensor:
        """The mixture: see `forward_mixture`."""
        return self.forward_mixture(x, w_EO)

    def forward_mixture(self, x: Tensor, w_EO: Tensor, last_EO: Tensor | None = None) -> Tensor:
        """All operators of every edge, weighted alike in all cells.

        With last_EO the network's last cell has these edge weights instead.
        Shapes: x (B, 3, H, W) in [0, 1], w_EO and last_EO (6, 5) -> logits (B, K).
        """

        kernels = {stack: stack.of_sources() for stack in self.stacks}
        moments: dict[Stack, list[Moments]] = {stack: [] for stack in self.stacks}

        def run(cell: MixedCell, x: Tensor) -> Tensor:
            own_EO = w_EO if last_EO is None or cell is not self.cells[-1] else last_EO
            own = kernels[cell.stack][cell.number]
            out: Tensor = cell(x, own_EO, self.impl, own, moments[cell.stack])
            return out

        logits = self.forward_head(self.forward_features(x, run))
        for stack, found in moments.items():
            if found:
                stack.track(0, found)
        return logits

    def forward_cell(self, x: Tensor, ops: Ops, w_E: Tensor | None = None) -> Tensor:
        """One cell alone, at its cost, with the weights that all cells share.

        Shapes: x (B, 3, H, W) in [0, 1], ops six operator numbers (`Genotype.ops`), w_E (6,), a
                factor for each edge -> logits (B, K).
        """
        kernels = {stack: stack.of_places() for stack in self.stacks}

        def run(cell: MixedCell, x: Tensor) -> Tensor:
            return cell.forward_cell(x, ops, w_E, kernels[cell.stack][cell.number])

        return self.forward_head(self.forward_features(x, run))

    def forget_gradients(self) -> None:
        """Before a step: no gradients, and no edge that one has come back to."""
        for parameter in self.parameters():
            parameter.grad = None
        for stack in self.stacks:
            stack.forget()

    def reached(self, by_edge: bool) -> list[Part]:
        """What backward passes have given a gradient to since `forget_gradients`.

        Kernels of operators that were not computed are left out, as if each were a parameter of its
        own. With `by_edge` they come one by one, else a stage's in one piece where it is complete.
        """
        rest = (self.reductions, self.last_bn, self.classifier)
        return [
            *_with_gradient(self.stem),
            *(part for stack in self.stacks for part in stack.reached(by_edge)),
            *(part for module in rest for part in _with_gradient(module)),
        ]

    def trained_tensors(self) -> list[Tensor]:
        """The parameters and running statistics, each once, for who watches or holds them."""
        parts = (self.stem, self.stacks, self.reductions, self.last_bn, self.classifier)
        modules = [module for part in parts for module in part.modules()]
        return [
            tensor
            for module in modules
            for tensor in (*module._parameters.values(), *module._buffers.values())
            if tensor is not None
        ]

    @property
    def form_of_passes(self) -> tuple[bool, torch.dtype, str]:
        """All that decides how a pass is computed, besides tensors."""
        return self.training, self.train_dtype, self.impl

    def _apply(self, fn: Any, recurse: bool = True) -> "Supernet":
        super()._apply(fn, recurse)
        for stack in self.stacks:
            stack.bind()
        return self

    def fold_mixture(self, w_EO: Tensor) -> FoldedNetwork:
        """The mixture with BN frozen at its running statistics, folded (`ops.fold`): the same
        function as in eval mode, much faster."""
        return fold_network(
            self, lambda stage: [fold_stage(self.stacks[stage], w_EO, impl=self.impl)]
        )

    def fold_cell(self, ops: Ops, *, x: Tensor | None = None) -> FoldedNetwork:
        """One cell with frozen BN, folded.

        BN is frozen at the running statistics, which are the mixture's; give x to freeze it at the
        cell's own, of this clean batch. On CUDA it is the mixture with one-hot weights: it computes
        more than the cell has, and has the form of all others, whose graph it shares.
        """
        if x is not None:
            self.record_statistics(x, lambda cell, x: cell.forward_cell(x, ops))
        statistics = "running" if x is None else "batch"
        if self.classifier.weight.is_cuda:
            w_EO = one_hot(ops, self.classifier.weight)
            fold = functools.partial(fold_stage, w_EO=w_EO, statistics=statistics, impl=self.impl)
            return fold_network(self, lambda stage: [fold(self.stacks[stage])], statistics)
        sampled = functools.partial(fold_sampled, ops=ops, statistics=statistics)
        return fold_network(
            self, lambda stage: [sampled(cell) for cell in self.stage_cells(stage)], statistics
        )


def _with_gradient(module: nn.Module) -> list[Part]:
    return [(p, slice(None)) for p in module.parameters() if p.grad is not None]
