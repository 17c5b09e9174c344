"""CUDA graphs for the loop of an attack: k gradient steps on fixed shapes, launched as one.

An attack gradient is some hundred short kernels, and launching them costs more than running them. A
graph launches all k steps at once. It replays fixed addresses, so it owns a copy of the model, and
each call copies the model's tensors, the images and the labels in and the result out.

Where a graph cannot be used the loop runs as ordinary calls, with the reason logged once.
"""

import copy
import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Model = Callable[[Tensor], Tensor]
Step = Callable[[Model, Tensor, Tensor, Tensor], None]
"""step(model, x_adv, x, y) changes x_adv in place."""

MAX_GRAPHS = 4
"""Kept at a time: each owns the activations of one attack step."""

MAX_CAPTURES = 64
"""In one process: a caller whose models or shapes never repeat is better off without."""

WARM_UP = 2
"""Steps before a capture, on another stream: libraries choose algorithms and allocate in them."""


class AttackGraph:
    """One captured loop with the buffers that it reads and writes."""

    def __init__(
        self, step: Step, steps: int, model: Model, x_adv: Tensor, x: Tensor, y: Tensor
    ) -> None:
        self.model = copy.deepcopy(model)
        self.x_adv, self.x, self.y = x_adv.clone(), x.clone(), y.clone()
        self.buffers = [*tensors_of(self.model), self.x_adv, self.x, self.y]
        self._warm_up(step)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            for _ in range(steps):
                step(self.model, self.x_adv, self.x, self.y)

    def _warm_up(self, step: Step) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self.model, self.x_adv, self.x, self.y)
        torch.cuda.current_stream().wait_stream(stream)

    @torch.no_grad()
    def run(self, model: Model, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The result of the loop from x_adv, in a tensor of its own."""
        torch._foreach_copy_(self.buffers, [*tensors_of(model), x_adv, x, y])
        self.graph.replay()
        return self.x_adv.clone()


class AttackLoops:
    """Runs attack loops, on CUDA as graphs that are captured per model form and shape and kept.

    A loop is captured when it is seen for the second time, so that a last partial batch is not.
    """

    def __init__(self, make_graph: Callable[..., Any] = AttackGraph) -> None:
        self._make_graph = make_graph
        self._seen: set[Hashable] = set()
        self._refused: set[Hashable] = set()
        self._graphs: OrderedDict[Hashable, tuple[Any, Callable[[], Any]]] = OrderedDict()
        self._captures = 0
        self._logged: set[str] = set()

    def run(
        self,
        step: Step,
        steps: int,
        model: Model,
        x_adv: Tensor,
        x: Tensor,
        y: Tensor,
        *,
        key: Hashable,
        on_cpu: bool = False,
    ) -> Tensor:
        """x_adv after `steps` calls of step(model, x_adv, x, y); x_adv itself may be changed.

        `key` says all that the step depends on beside its arguments (eps, step size, loss).
        `on_cpu` takes the graph path without a GPU too, with another `make_graph`: for tests.
        """
        graph = None
        if x_adv.is_cuda or on_cpu:
            graph = self._graph(step, steps, model, x_adv, x, y, key)
        if graph is not None:
            return graph.run(model, x_adv, x, y)
        for _ in range(steps):
            step(model, x_adv, x, y)
        return x_adv

    def _graph(
        self, step: Step, steps: int, model: Model, x_adv: Tensor, x: Tensor, y: Tensor, key: Any
    ) -> Any:
        tensors = tensors_of(model)
        if not tensors:
            return self._eager("the model shows no tensors that could be copied into a graph")
        full_key = (key, steps, signature(model), *(_form(t) for t in (x_adv, x, y, *tensors)))
        graph, owner = self._graphs.get(full_key, (None, lambda: None))
        if graph is not None and (owner() is model or not isinstance(model, nn.Module)):
            self._graphs.move_to_end(full_key)
            return graph
        if full_key in self._refused:
            return None
        if full_key not in self._seen:
            self._seen.add(full_key)
            return None
        return self._capture(full_key, step, steps, model, x_adv, x, y)

    def _capture(self, full_key: Hashable, *arguments: Any) -> Any:
        if self._captures >= MAX_CAPTURES:
            return self._eager(f"{MAX_CAPTURES} loops were captured and still another form came")
        self._captures += 1
        try:
            graph = self._make_graph(*arguments)
        except Exception as error:
            self._refused.add(full_key)
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return self._eager(f"the capture failed: {reason}")
        model = arguments[2]
        owner = weakref.ref(model) if isinstance(model, nn.Module) else lambda: None
        self._graphs[full_key] = (graph, owner)
        if len(self._graphs) > MAX_GRAPHS:
            self._graphs.popitem(last=False)
        return graph

    def _eager(self, reason: str) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            log.warning("an attack runs without a CUDA graph: %s", reason)


ATTACK_LOOPS = AttackLoops()
"""The loops of this process."""


def tensors_of(thing: Any) -> list[Tensor]:
    """The tensors of a module, or inside plain objects, lists, tuples and dicts, in fixed order."""
    if isinstance(thing, nn.Module):
        return [t.detach() for t in (*thing.parameters(), *thing.buffers())]
    return [leaf.detach() for leaf in _leaves(thing) if isinstance(leaf, Tensor)]


def signature(thing: Any) -> Hashable:
    """What else decides the function: for a module which one it is and its modes, else every value
    inside that is no tensor, such as the constants of a folded single cell."""
    if isinstance(thing, nn.Module):
        return (id(thing), tuple(module.training for module in thing.modules()))
    return tuple(
        "tensor" if isinstance(leaf, Tensor) else (type(leaf).__name__, repr(leaf))
        for leaf in _leaves(thing)
    )


def _leaves(thing: Any) -> Iterator[Any]:
    if isinstance(thing, (list, tuple)):
        yield type(thing).__name__
        for item in thing:
            yield from _leaves(item)
    elif isinstance(thing, dict):
        for name, value in thing.items():
            yield name
            yield from _leaves(value)
    elif hasattr(thing, "__dict__") and not isinstance(thing, (type, Tensor)):
        yield type(thing).__qualname__
        yield from _leaves(vars(thing))
    else:
        yield thing


def _form(t: Tensor) -> Hashable:
    return (tuple(t.shape), t.stride(), t.dtype, t.device)
