"""`frozen` holds a network still while it is attacked, and puts everything back afterwards;
`constant_weights` holds its parameters alone."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn


@contextmanager
def frozen(model: Callable[..., Any]) -> Iterator[None]:
    """Evaluation mode and no parameter gradients inside the block; everything as before after it.

    Inside, `training` is False on every submodule, so that batch norm reads its running
    statistics and writes none, and `requires_grad` is False on every parameter, so that a
    backward pass to the images computes nothing else. On leaving, also through an exception, each
    submodule gets its own mode back (a network with some layers in each mode keeps that mixture)
    and each parameter its own flag. Blocks may be nested, and several threads may hold the same
    network or parts of it: the last block to end puts back what the first one found.

    `model` may be any callable: one that is no `nn.Module`, such as a folded network, has no state
    to hold and is left alone. A closure over a network hides it from this function: open the block
    on the network itself.

    Differs: sets the attribute `training` and does not call `train()`, which submodules may
    override, and which would level a mixture of modes.
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    with constant_weights(model), _switched_off(modules, "training"):
        yield


@contextmanager
def constant_weights(model: Callable[..., Any]) -> Iterator[None]:
    """No parameter gradients inside the block, and every flag as before after it; else as `frozen`.

    For gradients to edge weights or images. An operator that computes all its gradients at once,
    as a compiled cell does, takes from the flags which ones it needs: naming other inputs to
    `torch.autograd.grad` does not reach it, and it would compute gradients that nobody gets.
    """
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    with _switched_off(parameters, "requires_grad"):
        yield


@contextmanager
def _switched_off(things: Iterable[nn.Module | nn.Parameter], attribute: str) -> Iterator[None]:
    held: list[_Held] = []
    try:
        with _LOCK:
            for thing in things:
                held.append(_hold(thing, attribute))
        yield
    finally:
        with _LOCK:
            for one in held:
                _release(one)


@dataclass
class _Held:
    """An attribute that is False for as long as some block holds it."""

    thing: nn.Module | nn.Parameter
    attribute: str
    before: bool
    holders: int = 0


_HELD: dict[int, _Held] = {}
"""By the identity of the module or parameter."""
_LOCK = threading.Lock()


def _hold(thing: nn.Module | nn.Parameter, attribute: str) -> _Held:
    held = _HELD.get(id(thing)) or _Held(thing, attribute, getattr(thing, attribute))
    setattr(thing, attribute, False)
    _HELD[id(thing)] = held
    held.holders += 1
    return held


def _release(held: _Held) -> None:
    held.holders -= 1
    if not held.holders:
        del _HELD[id(held.thing)]
        setattr(held.thing, held.attribute, held.before)
