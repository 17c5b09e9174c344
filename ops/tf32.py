"""Where a GPU rounds the operands of convolutions and matrix products to TF32, read and switched.

torch has two kinds of switches for it: `allow_tf32`, and since 2.9 `fp32_precision`. Where somebody
has used the second, reading the first is an error in some states; written are therefore both, and
read is the second where there is one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

Switches = tuple[tuple[Any, bool | None, str | None], ...]
"""(convolutions or matrix products, allow_tf32 or None, fp32_precision or None) of both."""


def allowed() -> tuple[bool, bool]:
    """Whether (convolutions, matrix products) may take TF32."""
    found = [new == "tf32" if new is not None else bool(old) for _, old, new in _read()]
    return found[0], found[1]


def precisions() -> tuple[Any, ...]:
    """The values of the switches."""
    return tuple((old, new) for _, old, new in _read())


@contextmanager
def switched_off() -> Iterator[None]:
    """No TF32 inside; afterwards all switches are as they were."""
    before, words = _read(), _words()
    for backend, old, new in before:
        _write(backend, None if old is None else False, None if new is None else "ieee")
    try:
        yield
    finally:
        for switch in before:
            _write(*switch)
        if words is not None:  # of which the switches alone cannot say all
            torch.set_float32_matmul_precision(words)
            for backend, _, new in before:
                _write(backend, None, new)


def _read() -> Switches:
    return tuple(
        (backend, _old(backend), getattr(_newer(backend), "fp32_precision", None))
        for backend in (torch.backends.cudnn, torch.backends.cuda.matmul)
    )


def _words() -> str | None:
    """`highest`, `high` or `medium`; None where the switches are not as one of them sets them."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _old(backend: Any) -> bool | None:
    try:
        return bool(backend.allow_tf32)
    except RuntimeError:  # it and fp32_precision say different things
        return None


def _write(backend: Any, old: bool | None, new: str | None) -> None:
    if old is not None:
        backend.allow_tf32 = old
    if new is not None:
        _newer(backend).fp32_precision = new


def _newer(backend: Any) -> Any:
    """What holds `fp32_precision`: cuDNN has one for convolutions and one for recurrent cells."""
    return getattr(backend, "conv", backend)
