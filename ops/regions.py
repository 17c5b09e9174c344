"""CUDA graphs for parts of a training step: a pass with all its kernels, launched as one.

A region is a body, body(*inputs) -> tensors, that a step calls with other values of the same form.
It may change tensors that stay where they are (weights, momentum, running statistics). Of what else
a body does nothing is repeated by a replay: it draws no random number, reads no value back, takes
every number that changes from step to step out of a tensor, and leaves no trace in Python. What it
needs of these is drawn or computed before, and comes in through `inputs`.

The first call of a form is an ordinary one, on a side stream, where libraries allocate and choose
algorithms. The second is captured: the ordinary call is the step, then it is taken back, and the
graph's first replay must give the same bits, in the outputs and in all that was changed. Only then
the graph is used. So a run with graphs is the run without them, and one that is resumed, whose
first steps are ordinary again, goes on bit for bit.

On a CPU, and wherever a graph cannot be, the body runs as it is.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor

from ops.captures import (
    CAPTURES,
    Captures,
    arithmetic,
    capture,
    form,
    on_side_stream,
    stream_of,
)

Tensors = tuple[Tensor, ...]
Body = Callable[..., Tensors]


class Graph(Protocol):
    """What stands for a captured body."""

    def run(self, inputs: Sequence[Tensor]) -> Tensors:
        """The outputs for these inputs, in tensors of their own."""


class RegionGraph:
    """One captured body, with the buffers of its inputs."""

    def __init__(self, body: Body, inputs: Sequence[Tensor]) -> None:
        self.inputs = [t.clone() for t in inputs]
        self.graph = torch.cuda.CUDAGraph()
        # Outputs are copied out before another graph runs, and nothing else outlives a replay: all
        # regions may have their activations in one memory.
        with capture(self.graph, _pool(inputs[0].device)):
            self.outputs = body(*self.inputs)

    def run(self, inputs: Sequence[Tensor]) -> Tensors:
        with torch.no_grad():
            torch._foreach_copy_(self.inputs, list(inputs))
            self.graph.replay()
            return tuple(t.clone() for t in self.outputs)


_FIRST: dict[torch.device, torch.cuda.CUDAGraph] = {}
"""A graph of next to nothing for each device, whose memory all regions share. It is kept because
some versions of torch cannot use a memory again whose last graph is gone."""


def _pool(device: torch.device) -> Any:
    if device not in _FIRST:
        graph = torch.cuda.CUDAGraph()
        with capture(graph):
            torch.zeros(1, device=device)
        _FIRST[device] = graph
    return _FIRST[device].pool()


class Region:
    """A part of a step that is captured once for the form of its inputs, and replayed.

    `state()` are the tensors that the body changes, always in the same order. One that has moved,
    as at a load, makes the graph void. `never` is a reason against capturing, said once, or empty.
    `devices` and `make_graph` are others in tests.
    """

    def __init__(
        self, name: str, state: Callable[[], Sequence[Tensor]], never: str = "", *,
        process: Captures = CAPTURES, make_graph: Callable[..., Graph] = RegionGraph,
        devices: Sequence[str] = ("cuda",),
    ) -> None:  # fmt: skip
        self.name, self.state, self.never = name, state, never
        self.process, self.make_graph, self.devices = process, make_graph, devices
        self._seen: Hashable = None
        self._refused: set[Hashable] = set()
        self._graph: Graph | None = None
        self._captured: Hashable = None

    def run(self, body: Body, inputs: Sequence[Tensor], key: Hashable = None) -> Tensors:
        """body(*inputs). `key` says all that the body depends on besides tensors."""
        self.say_why_not(inputs[0])
        if self.never or self.process.failed or not self._on_gpu(inputs[0]):
            return body(*inputs)
        state = self.state()
        # What has no place yet counts as another place.
        where = tuple(t.data_ptr() for t in state)
        full = (key, arithmetic(), stream_of(inputs[0]), tuple(map(form, inputs)), where)
        if self._graph is not None and full == self._captured:
            return self._graph.run(inputs)
        if full in self._refused:
            return body(*inputs)
        self._graph = None
        with _on(inputs[0]), self.process.whole():
            if full != self._seen:
                self._seen = full
                with on_side_stream() if inputs[0].is_cuda else nullcontext():
                    return body(*inputs)
            return self._capture(full, body, inputs, state)

    @property
    def captured(self) -> bool:
        """Whether there is a graph that calls are replayed from."""
        return self._graph is not None

    def say_why_not(self, x: Tensor) -> None:
        """Log, once, what stands against capturing where these inputs are on a GPU."""
        if self.never and self._on_gpu(x):
            self.process.say(self.name, self.never)

    def _on_gpu(self, x: Tensor) -> bool:
        return x.device.type in self.devices and not x.is_meta

    def _capture(
        self, full: Hashable, body: Body, inputs: Sequence[Tensor], state: Sequence[Tensor]
    ) -> Tensors:
        before = _copies(state)
        expected = body(*inputs)
        after = _copies(state)
        _put_back(state, before)
        try:
            graph = self.make_graph(body, inputs)
            found = graph.run(inputs)
        except Exception as error:
            _put_back(state, after)
            self.process.fail(self.name, error)
            return expected
        pairs = zip((*expected, *after), (*found, *state), strict=True)
        different = sum(not torch.equal(one, other) for one, other in pairs)
        if different:
            _put_back(state, after)
            self._refused.add(full)
            self.process.refuse(
                self.name, f"its first replay differs from ordinary calls in {different} tensors"
            )
        else:
            self._graph, self._captured = graph, full
        return expected


def _on(x: Tensor) -> AbstractContextManager[Any]:
    """Streams and captures are those of the current device, which need not be the images'."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t.detach().clone() for t in tensors]


@torch.no_grad()
def _put_back(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for t, value in zip(tensors, values, strict=True):
        t.copy_(value)
