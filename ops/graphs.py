"""CUDA graphs for the loop of an attack: k gradient steps on fixed shapes, launched as one.

An attack gradient is some hundred short kernels, and launching them costs more than running them. A
graph launches all k steps at once. It replays fixed addresses, so it owns a copy of the model, and
each call copies the model's tensors, the images and the labels in and the result out. Attacks that
are a part of a captured step (`ops.regions`) are captured there, and not here.

Where a graph cannot be used the loop runs as ordinary calls, with the reason logged once. A graph
is used only after its first replay gave what the ordinary calls give: bit for bit where algorithms
repeat (`torch.backends.cudnn.deterministic`), which trainings ask for, else nearly. After a capture
that failed the process captures nothing more: in some versions of torch the memory allocator then
believes that a capture is still under way. Ordinary calls go on with it; `torch.cuda.empty_cache`,
which does not, is called nowhere here. For the same reason a test of captures on a GPU is a process
of its own, in which a failure is an error (`CAPTURES.strict`).
"""

import copy
import logging
import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from ops.captures import (
    CAPTURES,
    Captures,
    arithmetic,
    capture,
    form,
    on_side_stream,
    stream_of,
)

log = logging.getLogger(__name__)

Model = Callable[[Tensor], Tensor]
Step = Callable[[Model, Tensor, Tensor, Tensor], None]
"""step(model, x_adv, x, y) changes x_adv in place."""

MAX_GRAPHS = 4
"""Kept at a time: each owns the activations of one attack step."""

MAX_CAPTURES, REPLAYS = 64, 32
"""Captures in one process, and replays that pay for one more: a caller whose models or shapes
seldom repeat is better off without."""

WARM_UP = 2
"""Steps before a capture, on another stream: libraries choose algorithms and allocate in them."""

TOLERANCE = 0.25
"""Mean difference between a graph's first replay and the ordinary calls, over the mean change that
they make to the images, where algorithms may differ from call to call. Then signs of gradients near
0 flip, and later steps carry that on; a replay that does nothing is at 1, an unrelated one higher.
Where `torch.backends.cudnn.deterministic` is set, they may not differ at all."""


class AttackGraph:
    """One captured loop with the buffers that it reads and writes."""

    def __init__(
        self, step: Step, steps: int, model: Model, x_adv: Tensor, x: Tensor, y: Tensor
    ) -> None:
        self.model = copy.deepcopy(model)
        self.x_adv, self.x, self.y = x_adv.clone(), x.clone(), y.clone()
        self.buffers = [*tensors_of(self.model), self.x_adv, self.x, self.y]
        # Streams and captures are those of the current device, which need not be the images'.
        with torch.cuda.device(self.x_adv.device):
            with on_side_stream():
                for _ in range(WARM_UP):
                    step(self.model, self.x_adv, self.x, self.y)
            self.graph = torch.cuda.CUDAGraph()
            with capture(self.graph):
                for _ in range(steps):
                    step(self.model, self.x_adv, self.x, self.y)

    @torch.no_grad()
    def run(self, model: Model, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The result of the loop from x_adv, in a tensor of its own."""
        with torch.cuda.device(self.x_adv.device):
            torch._foreach_copy_(self.buffers, [*tensors_of(model), x_adv, x, y])
            self.graph.replay()
            return self.x_adv.clone()


class AttackLoops:
    """Runs attack loops, on CUDA as graphs that are captured per model form and shape and kept.

    A loop is captured when it is seen for the second time, so that a last partial batch is not.
    """

    def __init__(
        self, make_graph: Callable[..., Any] = AttackGraph, *, process: Captures | None = None
    ) -> None:
        self._make_graph = make_graph
        self._process = process or Captures()
        self._seen: set[Hashable] = set()
        self._refused: dict[Hashable, str] = {}
        self._graphs: OrderedDict[Hashable, tuple[Any, Callable[[], Any]]] = OrderedDict()
        self._captures = self._replays = 0
        # A graph's buffers serve one call at a time.
        self._lock = threading.RLock()

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

        `key` says all that the step depends on besides its arguments (eps, step size, loss).
        `on_cpu` takes the graph path without a GPU too, with another `make_graph`: for tests.
        """
        on_gpu = x_adv.is_cuda and not x_adv.is_meta
        if (on_gpu or on_cpu) and not self._process.inside:
            with self._lock:
                graph = self._graph(step, steps, model, x_adv, x, y, key)
                if graph is not None:
                    return graph.run(model, x_adv, x, y)
        return _ordinary(step, steps, model, x_adv, x, y)

    def _graph(
        self, step: Step, steps: int, model: Model, x_adv: Tensor, x: Tensor, y: Tensor, key: Any
    ) -> Any:
        if self._process.failed:
            return None
        tensors = tensors_of(model)
        if not tensors:
            return self._eager("the model shows no tensors that could be copied into a graph")
        forms = (form(t) for t in (x_adv, x, y, *tensors))
        full_key = (key, steps, arithmetic(), stream_of(x_adv), signature(model), *forms)
        graph, owner = self._graphs.get(full_key, (None, lambda: None))
        if graph is not None and (owner() is model or not isinstance(model, nn.Module)):
            self._graphs.move_to_end(full_key)
            self._replays += 1
            return graph
        if full_key in self._refused:
            return self._eager(self._refused[full_key])  # logged once in every run
        if full_key not in self._seen:
            self._seen.add(full_key)
            log.debug("an attack of %d steps on %s: ordinary calls the first time, captured the "
                      "second", steps, tuple(x_adv.shape))  # fmt: skip
            return None
        return self._capture(full_key, step, steps, model, x_adv, x, y)

    def _capture(self, full_key: Hashable, *arguments: Any) -> Any:
        if self._captures >= MAX_CAPTURES + self._replays // REPLAYS:
            return self._eager(f"{self._captures} loops were captured and seldom came again")
        self._captures += 1
        try:
            graph = self._make_graph(*arguments)
            difference = _difference(graph, *arguments)
        except Exception as error:
            self._process.fail(_NAME, error)
            return None
        allowed = 0.0 if torch.backends.cudnn.deterministic else TOLERANCE
        if not difference <= allowed:  # NaN is not agreement either
            reason = (
                f"its first replay is {difference:.2g} of the attack's own change away from "
                "ordinary calls"
            )
            self._refused[full_key] = reason
            self._process.refuse(_NAME, reason)
            return None
        model = arguments[2]
        owner = weakref.ref(model) if isinstance(model, nn.Module) else lambda: None
        self._graphs[full_key] = (graph, owner)
        if len(self._graphs) > MAX_GRAPHS:
            self._graphs.popitem(last=False)
        return graph

    def _eager(self, reason: str) -> None:
        self._process.say(_NAME, reason)


_NAME = "an attack"


def _ordinary(step: Step, steps: int, model: Model, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
    for _ in range(steps):
        step(model, x_adv, x, y)
    return x_adv


def _difference(
    graph: Any, step: Step, steps: int, model: Model, x_adv: Tensor, x: Tensor, y: Tensor
) -> float:
    """See TOLERANCE. Waits for the device; x_adv stays as it is."""
    replayed = graph.run(model, x_adv, x, y)
    expected = _ordinary(step, steps, model, x_adv.clone(), x, y)
    away = (replayed.float() - expected.float()).abs().mean().item()
    change = (expected.float() - x_adv.float()).abs().mean().item()
    return 0.0 if away == 0 else away / change if change else math.inf


ATTACK_LOOPS = AttackLoops(process=CAPTURES)
"""The loops of this process."""


def tensors_of(thing: Any) -> list[Tensor]:
    """The tensors of a module, plain attributes included, or inside plain objects, lists, tuples
    and dicts, in fixed order."""
    if isinstance(thing, nn.Module):
        kept = (leaf for leaf in _attributes(thing) if isinstance(leaf, Tensor))
        return [t.detach() for t in (*thing.parameters(), *thing.buffers(), *kept)]
    return [leaf.detach() for leaf in _leaves(thing) if isinstance(leaf, Tensor)]


def signature(thing: Any) -> Hashable:
    """All else that decides the function: for a module its identity, its modes and its plain
    attributes, else every value inside that is not a tensor, such as a folded cell's constants.

    Of a module's attribute that is not a number, text, list, tuple or dict only its identity
    counts: a change inside it goes unseen. One that changes at every call keeps the loop
    uncaptured.
    """
    if isinstance(thing, nn.Module):
        modes = tuple(module.training for module in thing.modules())
        return (id(thing), modes, tuple(_value(leaf) for leaf in _attributes(thing)))
    return tuple(_value(leaf) for leaf in _leaves(thing))


def _value(leaf: Any) -> Hashable:
    if isinstance(leaf, Tensor):
        return "tensor"
    return (type(leaf).__name__, repr(leaf) if isinstance(leaf, _PLAIN) else id(leaf))


_PLAIN: tuple[type, ...] = (
    type(None), str, bytes, int, float, complex, slice,
    torch.dtype, torch.device, torch.memory_format, torch.layout,
)  # fmt: skip

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def _attributes(module: nn.Module) -> Iterator[Any]:
    """All that a module and its parts hold besides parameters, buffers, modules and modes."""
    for part in module.modules():
        for name, value in vars(part).items():
            if name not in _OF_EVERY_MODULE:
                yield name
                yield from _contents(value)


def _contents(thing: Any) -> Iterator[Any]:
    if isinstance(thing, (list, tuple)):
        yield type(thing).__name__
        for item in thing:
            yield from _contents(item)
    elif isinstance(thing, dict):
        for name, value in thing.items():
            yield name
            yield from _contents(value)
    else:
        yield thing


def _leaves(thing: Any) -> Iterator[Any]:
    """As `_contents`, and inside objects too."""
    for item in _contents(thing):
        if hasattr(item, "__dict__") and not isinstance(item, (type, Tensor, FunctionType)):
            yield type(item).__qualname__
            yield from _leaves(vars(item))
        else:
            yield item
