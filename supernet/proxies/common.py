"""Shared by the scores: a copy to work on, its weighted layers, gradients, batch norm at rest."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Proxy = Callable[..., float]
Layer = nn.Conv2d | nn.Linear


def scratch(network: nn.Module) -> nn.Module:
    """A deep copy in training mode with every parameter differentiable and no gradients stored.

    Scores run on it, so that nothing they do reaches the network itself: no mode, no running
    statistic, no flag, also when they raise.
    """
    copied = copy.deepcopy(network).train()
    for parameter in copied.parameters():
        parameter.requires_grad_(True)
        parameter.grad = None
    return copied


def layers(network: nn.Module) -> list[Layer]:
    """The convolutions and linear layers, in the order of `modules()`."""
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def weights(network: nn.Module) -> list[Tensor]:
    """The weights of `layers`, without biases and batch norm."""
    return [layer.weight for layer in layers(network)]


def gradients(value: Tensor, inputs: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    """d value / d inputs; zero for what the value does not depend on (a dead edge)."""
    return list(
        torch.autograd.grad(
            value, inputs, create_graph=create_graph, allow_unused=True, materialize_grads=True
        )
    )


def loss_gradients(network: nn.Module, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Gradients of the batch's mean cross-entropy with respect to `weights(network)`."""
    return gradients(F.cross_entropy(network(images), labels), weights(network))


def without_batch_norm(copied: nn.Module, keep: Sequence[nn.Module] = ()) -> None:
    """Make every batch norm of a scratch copy the identity, but for those inside `keep`."""
    kept = {module for part in keep for module in part.modules()}
    for module in copied.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module not in kept:
            module.forward = _identity  # type: ignore[method-assign, assignment]


@torch.no_grad()
def calibrate(copied: nn.Module, images: Tensor) -> None:
    """Write the batch statistics of these images into every batch norm, and go to eval mode.

    Afterwards the copy in eval mode treats each image on its own (no coupling through the batch)
    and gives for these images exactly the logits of training mode. This is the network at
    initialisation that attacks and per-sample gradients are taken of: its running statistics
    proper are still 0 and 1, with which a deep network's signal would fade away.
    """
    with _recorded_inputs(copied) as recorded:
        copied.train()
        copied(images)
    copied.eval()
    for module, (mean, var) in recorded.items():
        assert module.running_mean is not None and module.running_var is not None
        module.running_mean.copy_(mean)
        module.running_var.copy_(var)


@contextmanager
def _recorded_inputs(
    network: nn.Module,
) -> Iterator[dict[nn.modules.batchnorm._BatchNorm, tuple[Tensor, Tensor]]]:
    recorded: dict[nn.modules.batchnorm._BatchNorm, tuple[Tensor, Tensor]] = {}

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.modules.batchnorm._BatchNorm)
        axes = [axis for axis in range(inputs[0].dim()) if axis != 1]
        var, mean = torch.var_mean(inputs[0], dim=axes, correction=0)
        recorded[module] = (mean, var)

    handles = [
        module.register_forward_pre_hook(record)
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


def _identity(x: Tensor) -> Tensor:
    return x
