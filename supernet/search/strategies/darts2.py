"""DARTS, second order: alpha looks one weight step ahead.

    w' = w - lr * (d + momentum * buffer),  d = grad_w L_train(w, alpha) + weight_decay * w;
    with Nesterov  w' = w - lr * ((1 + momentum) * d + momentum^2 * buffer)
    d L_val(w', alpha) / d alpha = grad_alpha L_val(w', alpha)
                                   - xi * d^2 L_train(w, alpha) / (d alpha d w) . v,
    xi = lr, with Nesterov lr * (1 + momentum);  v = grad_w' L_val(w', alpha),
    and with eps = 0.01 / |v| and w+- = w +- eps * v the product is
    (grad_alpha L_train(w+) - grad_alpha L_train(w-)) / (2 eps).

Source: Liu et al. 2019, arXiv:1806.09055, eqs. 6 to 8.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from supernet.search.strategies.base import Losses, WeightStep
from supernet.search.strategies.darts import DARTS

PERTURBATION = 0.01


class DARTS2(DARTS):
    """Softmax weights, alpha's gradient through one unrolled step of the weights.

    Differs: every objective term gets its own product, so that terms can be weighed afterwards.
    Adversarial images are those made at the current weights; they are not attacked again at w'.
    """

    differentiates_weights = True

    def alpha_gradients(self, losses: Losses, step: WeightStep) -> tuple[Tensor, Tensor]:
        # Several graphs are built and freed, each from alpha: that of one w_EO would serve one.
        return unrolled_gradients(
            self.alpha,
            step,
            lambda: losses.training(self.edge_weights()),
            lambda: losses.validation(self.edge_weights()),
            losses.summed,
        )


def unrolled_gradients(
    alpha: nn.Parameter,
    step: WeightStep,
    training_loss: Callable[[], Tensor],
    validation_losses: Callable[[], list[Tensor]],
    summed: Callable[[Sequence[Tensor]], list[Tensor]] = list,
) -> tuple[Tensor, Tensor]:
    """(gradients (T, alpha.numel()), losses (T,)) after one unrolled weight step.

    `summed` adds gradients of the weights up over processes that share the batches. The result is
    this process's summand: it is linear in the losses from there on.
    The weights are as before afterwards, bit for bit, also when a loss raises.
    """
    weights = list(step.parameters)
    gradient = _over_processes(
        torch.autograd.grad(training_loss(), weights, allow_unused=True), summed
    )
    moved = [
        w.detach() - step.lr * _velocity(w, g, step, number)
        for number, (w, g) in enumerate(zip(weights, gradient, strict=True))
    ]
    with _weights_at(weights, moved):
        terms = validation_losses()
        parts = [
            torch.autograd.grad(term, [alpha, *weights], retain_graph=True, allow_unused=True)
            for term in terms
        ]
    xi = step.lr * (1 + step.momentum if step.nesterov else 1)
    gradients = []
    for part in parts:
        direct = torch.zeros_like(alpha) if part[0] is None else part[0]
        vector = _over_processes(part[1:], summed)
        product = _mixed_product(alpha, weights, vector, training_loss)
        gradients.append((direct - xi * product).flatten())
    return torch.stack(gradients), torch.stack([term.detach() for term in terms])


def _over_processes(
    gradients: Sequence[Tensor | None], summed: Callable[[Sequence[Tensor]], list[Tensor]]
) -> list[Tensor | None]:
    """The same with each gradient that there is added up."""
    sums = iter(summed([gradient for gradient in gradients if gradient is not None]))
    return [None if gradient is None else next(sums) for gradient in gradients]


def _velocity(w: Tensor, gradient: Tensor | None, step: WeightStep, number: int) -> Tensor:
    descent = step.weight_decay * w.detach()
    if gradient is not None:
        descent = descent + gradient
    buffer = step.buffers[number] if step.buffers else None
    # SGD's first step makes the buffer of the descent itself: as if it had been zero before.
    velocity = descent if buffer is None else descent + step.momentum * buffer
    return descent + step.momentum * velocity if step.nesterov else velocity


def _mixed_product(
    alpha: nn.Parameter,
    weights: Sequence[nn.Parameter],
    vector: Sequence[Tensor | None],
    training_loss: Callable[[], Tensor],
) -> Tensor:
    """(d^2 L_train / d alpha d w) . vector, by a central difference along `vector`."""
    v = [torch.zeros_like(w) if d is None else d for w, d in zip(weights, vector, strict=True)]
    # Along a vector of length 0 both sides are the same, and the product is 0.
    norm = torch.stack([d.norm() for d in v]).norm()
    eps = PERTURBATION / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    sides = []
    for sign in (1, -1):
        shifted = [w.detach() + sign * eps * d for w, d in zip(weights, v, strict=True)]
        with _weights_at(weights, shifted):
            sides.append(torch.autograd.grad(training_loss(), alpha)[0])
    return (sides[0] - sides[1]) / (2 * eps)


@contextmanager
def _weights_at(weights: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Inside the block the weights have other values."""
    # The data pointers are swapped, not the contents: nothing is copied and nothing is rounded.
    kept = [w.data for w in weights]
    try:
        for w, value in zip(weights, values, strict=True):
            w.data = value
        yield
    finally:
        for w, value in zip(weights, kept, strict=True):
            w.data = value
