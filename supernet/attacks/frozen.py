"""`frozen` holds a network still while it is attacked, and puts everything back afterwards."""

import threading
from collections.abc import Callable, Iterator
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
    if not isinstance(model, nn.Module):
        yield
        return
    held: list[_Held] = []
    try:
        with _LOCK:
            for module in model.modules():
                held.append(_hold(module, "training"))
            for parameter in model.parameters():
                held.append(_hold(parameter, "requires_grad"))
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
