"""The interface of a search strategy: alpha, the edge weights it stands for, and its gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ops.space import NUM_EDGES, NUM_OPS
from supernet.nets.folded import FoldedNetwork
from supernet.nets.supernet import Supernet


@dataclass(frozen=True)
class Losses:
    """What a strategy may differentiate; every call builds a fresh graph at the current weights.

    The images, attacked ones too, are made before and stay as they are.
    """

    validation: Callable[[Tensor], list[Tensor]]
    """edge weights w_EO -> one scalar per objective term, on an alpha batch."""
    training: Callable[[Tensor], Tensor]
    """edge weights w_EO -> the weights' scalar loss, on a weight batch."""
    summed: Callable[[Sequence[Tensor]], list[Tensor]] = list
    """Gradients added up over the processes that share the batches. Those that `alpha_gradients`
    gives are added up behind it; it asks for others that it needs on the way."""


@dataclass(frozen=True)
class WeightStep:
    """The step that SGD is about to take, for second-order strategies. Clipping is left out."""

    parameters: Sequence[nn.Parameter]
    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    buffers: Sequence[Tensor | None] = ()
    """SGD momentum buffers, one per parameter, None before the first step."""


class Strategy(nn.Module):
    """Holds alpha (6, 5), starting at 1e-3 * N(0, 1).

    A new strategy is a subclass in a file of its own and a line in STRATEGIES. It defines
    `edge_weights` (what one step runs with; may be random) and `expected_weights` (their mean or
    mode: what is evaluated, logged and derived from). Rows of both sum to 1. A strategy that draws
    one operator per edge also says how the network runs and folds with such weights, and that its
    passes vary.
    """

    differentiates_weights = False
    """Whether alpha's gradient goes through the network's weights, by `alpha_gradients`; else it
    goes through the edge weights alone, by `through_edges`."""
    varies = ""
    """Why passes of this strategy have not one form in every step, which a CUDA graph must have;
    empty where they have."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.alpha = nn.Parameter(1e-3 * torch.randn(NUM_EDGES, NUM_OPS, generator=generator))

    def edge_weights(self) -> Tensor:
        """w_EO (6, 5) of one step, differentiable with respect to alpha."""
        raise NotImplementedError

    def expected_weights(self) -> Tensor:
        """w_EO (6, 5), deterministic, without gradient."""
        raise NotImplementedError

    def logits(self, net: Supernet, x: Tensor, w_EO: Tensor) -> Tensor:
        """The network's logits with these edge weights, differentiable with respect to them."""
        return net.forward_mixture(x, w_EO)

    def fold(self, net: Supernet, w_EO: Tensor) -> FoldedNetwork:
        """The folded network with these edge weights and running statistics, to be attacked."""
        return net.fold_mixture(w_EO)

    def regulariser(self) -> Tensor | None:
        """A term of alpha alone, added to the loss of every alpha step, or None."""
        return None

    def set_progress(self, fraction: float) -> None:
        """Called before each epoch: 0 in the first, 1 in the last, linear between."""

    def through_edges(self, w_EO: Tensor, gradients_TEO: Tensor) -> Tensor:
        """Gradients (T, 30) with respect to alpha, from those with respect to the edge weights.

        w_EO is what `edge_weights` gave for this step. First order: the network's weights are held
        at their current values.
        Source: Liu et al. 2019, arXiv:1806.09055, with xi = 0.
        """
        # A vector-Jacobian product of 30 numbers for each term.
        gradients = [
            torch.autograd.grad(w_EO, self.alpha, gradient_EO, retain_graph=True)[0].flatten()
            for gradient_EO in gradients_TEO
        ]
        return torch.stack(gradients)

    def alpha_gradients(self, losses: Losses, step: WeightStep) -> tuple[Tensor, Tensor]:
        """(gradients (T, 30), losses (T,)) of the validation terms with respect to alpha, for a
        strategy that `differentiates_weights`."""
        raise NotImplementedError


def edge_gradients(
    validation: Callable[[Tensor], list[Tensor]], w_EO: Tensor
) -> tuple[Tensor, Tensor]:
    """(gradients to the edge weights of these terms (T, 6, 5), the terms (T,)); to nothing else."""
    # Each backward ends at a leaf of its own, so that it frees its graph and touches no weight
    # gradient.
    leaf = w_EO.detach().requires_grad_()
    terms = validation(leaf)
    gradients = [torch.autograd.grad(term, leaf)[0] for term in terms]
    return torch.stack(gradients), torch.stack([term.detach() for term in terms])
