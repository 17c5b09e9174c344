"""Tells a training whose numbers have left the finite ones: it learns nothing any more."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from supernet.errors import UserError


class Diverged(UserError):
    """A training whose loss, weights or alpha are infinite or not a number."""


def refuse_not_finite(values: Mapping[str, Any], step: int, remedy: str) -> None:
    """Check the tensors among the values of a dictionary, and of those inside it, in one read.

    step: steps that are done; remedy: what to do, as the end of a sentence.
    Raises: Diverged naming step, value and remedy.
    """
    tensors = dict(_floating(values, ""))
    if not tensors:
        return
    sums = [tensor.detach().abs().amax().double() for tensor in tensors.values()]
    largest = torch.stack([each.to(sums[0].device) for each in sums])
    if bool(largest.isfinite().all()):
        return
    name, value = next(
        (name, value)
        for name, value, good in zip(
            tensors, largest.tolist(), largest.isfinite().tolist(), strict=True
        )
        if not good
    )
    raise Diverged(f"step {step:,} diverged: {name} is {value}; {remedy}")


def norm(tensors: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all of them together; infinite where it is beyond float32."""
    return torch.nn.utils.get_total_norm([tensor.detach() for tensor in tensors])


def _floating(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in values.items():
        name = f"{where}{key}"
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            yield name, value
        elif isinstance(value, dict):
            yield from _floating(value, f"{name}.")
