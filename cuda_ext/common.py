"""What the operators share: their arithmetic type, checks of their arguments, parts of autograd."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# alpha's columns: none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3.
SKIP, CONV1, CONV3, POOL, NUM_OPS = 1, 2, 3, 4, 5


def arithmetic_type(storage: torch.dtype) -> torch.dtype:
    """The type that sums are in: float64 for float64, else float32."""
    return torch.float64 if storage == torch.float64 else torch.float32


def check_tensor(x: Tensor, t: Tensor, name: str, shape: tuple[int, ...]) -> None:
    """Raises: ValueError when t has another shape, or another device or dtype than x."""
    _check_place(x, t, name, shape)
    if t.dtype != x.dtype:
        raise ValueError(
            f"{name} has dtype {dtype_name(t.dtype)}, expected {dtype_name(x.dtype)} as x has"
        )


def check_values(x: Tensor, t: Tensor, name: str, shape: tuple[int, ...]) -> None:
    """`check_tensor` for weights and biases, which may also be of the type that sums are in."""
    _check_place(x, t, name, shape)
    wide = arithmetic_type(x.dtype)
    if t.dtype not in (x.dtype, wide):
        either = dict.fromkeys((dtype_name(x.dtype), dtype_name(wide)))
        raise ValueError(f"{name} has dtype {dtype_name(t.dtype)}, expected {' or '.join(either)}")


def _check_place(x: Tensor, t: Tensor, name: str, shape: tuple[int, ...]) -> None:
    if t.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(t.shape)}, expected {shape} for x of shape {tuple(x.shape)}"
        )
    if t.device != x.device:
        raise ValueError(f"{name} is on {t.device}, expected {x.device} as x is")


def dtype_name(dtype: torch.dtype) -> str:
    """`float32`, without the module."""
    return str(dtype).removeprefix("torch.")


def any_needed(needed: bool | Sequence[bool]) -> bool:
    """Whether a gradient is needed: autograd says so of a tensor, or of each tensor of a list."""
    return needed if isinstance(needed, bool) else any(needed)


def once_differentiable(name: str) -> Any:
    """The backward of a gradient operator: it refuses, and names the operator that was used."""

    def backward(ctx: Any, *grads: Any) -> None:
        raise RuntimeError(f"{name} is once differentiable; use impl='reference' for more")

    return backward
