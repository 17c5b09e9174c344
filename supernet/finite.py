"""Tells a training whose numbers have left the finite ones: it learns nothing any more."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
    names, largest = _largest(values)
    if names and not bool(largest.isfinite().all()):
        raise _diverged(names, largest.tolist(), step, remedy)


class Watch:
    """Looks for numbers that are not finite in every step, and reads a GPU only now and then.

    On a CPU `note` refuses them at once. Elsewhere reading makes the host wait for the device:
    there the first values that are not finite are kept on the device, and `refuse` reads them, at
    the end of every epoch and READS times within it.
    """

    READS = 8

    def __init__(self, device: torch.device) -> None:
        self.waits = device.type != "cpu"
        """Whether a read would make the host wait."""
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def note(self, values: Mapping[str, Any], step: int, remedy: str) -> None:
        """Look at values of a step; else as `refuse_not_finite`. Values of the same names are to
        come once in every step, from their first one on.

        Raises: Diverged on a CPU.
        """
        if not self.waits:
            refuse_not_finite(values, step, remedy)
            return
        names, largest = _largest(values)
        if names:
            kept = self._kept.pop(names, None) or _Kept(largest)
            kept.note(largest, step, remedy)
            self._kept[names] = kept  # at the end: in the order of a step

    def refuse(self) -> None:
        """Read what was kept; the host waits once.

        Raises: Diverged naming the first step whose values were not finite, value and remedy.
        """
        if not self._kept:
            return
        states = torch.cat([kept.state for kept in self._kept.values()]).tolist()
        found = []
        for names, kept in self._kept.items():
            (count, first, *largest), states = states[: 2 + len(names)], states[2 + len(names) :]
            if first:
                step = kept.step - int(count - first)
                found.append((step, _diverged(names, largest, step, kept.remedy)))
        if found:
            raise min(found, key=lambda pair: pair[0])[1]

    def refuse_if_due(self, step: int, steps_per_epoch: int) -> None:
        """`refuse` after a step that ends an epoch or one of its READS parts."""
        part = -(-steps_per_epoch // self.READS)
        if (step % steps_per_epoch) % part == 0:
            self.refuse()

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """An error inside that follows from numbers which were not finite is their Diverged."""
        try:
            yield
        except Diverged:
            raise
        except Exception as error:
            try:
                self.refuse()
            except Diverged as reason:
                raise reason from error
            except Exception:  # a GPU that has failed can be read no more: the first error counts
                pass
            raise


class _Kept:
    """The first values of some names that were not finite, on the device."""

    def __init__(self, like: Tensor) -> None:
        self.state = like.new_zeros(2 + len(like))
        """Checks so far, the number of the first bad one (0 for none), and its values."""
        self.step, self.remedy = 0, ""

    def note(self, largest: Tensor, step: int, remedy: str) -> None:
        # Nothing here depends on the step as the host knows it: a CUDA graph may capture it.
        self.step, self.remedy = step, remedy
        self.state[0] += 1
        new = ~largest.isfinite().all() & (self.state[1] == 0)
        here = torch.cat((self.state[:1], largest))
        self.state[1:] = torch.where(new, here, self.state[1:])


def _largest(values: Mapping[str, Any]) -> tuple[tuple[str, ...], Tensor]:
    """Names and largest magnitudes, in float64, of the tensors that have one."""
    tensors = dict(_floating(values, ""))
    if not tensors:
        return (), torch.zeros(0)
    sums = [tensor.detach().abs().amax().double() for tensor in tensors.values()]
    return tuple(tensors), torch.stack([each.to(sums[0].device) for each in sums])


def _diverged(names: Iterable[str], largest: list[float], step: int, remedy: str) -> Diverged:
    pairs = zip(names, largest, strict=True)
    name, value = next((n, v) for n, v in pairs if not math.isfinite(v))
    return Diverged(f"step {step:,} diverged: {name} is {value}; {remedy}")


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
