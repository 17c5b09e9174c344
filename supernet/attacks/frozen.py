"""`frozen` holds a network still while it is attacked, and puts everything back afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def frozen(model: Callable[..., Any]) -> Iterator[None]:
    """Evaluation mode and no parameter gradients inside the block; everything as before after it.

    Inside, `training` is False on every submodule, so that batch norm reads its running
    statistics and writes none, and `requires_grad` is False on every parameter, so that a
    backward pass to the images computes nothing else. On leaving, also through an exception, each
    submodule gets its own mode back (a network with some layers in each mode keeps that mixture)
    and each parameter its own flag. Blocks may be nested.

    `model` may be any callable: one that is no `nn.Module`, such as a folded network, has no state
    to hold and is left alone. A closure over a network hides it from this function: open the block
    on the network itself.

    Differs: sets the attribute `training` and does not call `train()`, which submodules may
    override, and which would level a mixture of modes.
    """
    if not isinstance(model, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for module, _ in modes:
            module.training = False
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
