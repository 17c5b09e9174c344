"""A CUDA graph played on the CPU: what a capture would keep is kept, what it would not is lost.

While a body runs, every operator that reaches torch is noted with the tensors it was given. A
replay calls the same operators on the same tensors and puts their results where the first ones
went; Python is not asked again. So, as with a graph, a number that Python gave stays the one of the
capture, what Python notes is not noted again, and a tensor that has moved since is not seen. What a
capture refuses is refused: reading a value back, and random numbers.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ops.regions import Body, Tensors
from ops.rehearsal import VALUE_DEPENDENT

RANDOM = ("rand", "normal", "bernoulli", "multinomial", "dirichlet", "exponential", "uniform")


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[tuple[int, Tensor]]]] = []
        self.before: dict[int, tuple[Any, Any]] = {}
        """Of every memory that was written into: it, and what it held."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), func._schema.name.split("::")[1]
        if name in VALUE_DEPENDENT or any(word in name for word in RANDOM):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        if func._schema.is_mutable or "batch_norm" in name:  # whose schema hides that it writes
            for t in _tensors((args, kwargs)):
                memory = t.untyped_storage()
                self.before.setdefault(memory.data_ptr(), (memory, memory.clone()))
        out = func(*args, **kwargs)
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        fresh = [
            (place, t)
            for place, t in enumerate(_tensors(out))
            if t.untyped_storage().data_ptr() not in given
        ]
        if fresh or func._schema.is_mutable:
            self.calls.append((func, args, kwargs, fresh))
        return out


class RecordedGraph:
    """Takes the place of `ops.regions.RegionGraph` where there is no GPU."""

    made = 0

    def __init__(self, body: Body, inputs: Sequence[Tensor]) -> None:
        RecordedGraph.made += 1
        self.inputs = [t.clone() for t in inputs]
        with _Recorder() as recorder:
            self.outputs = body(*self.inputs)
        self.calls = recorder.calls
        for memory, content in recorder.before.values():  # a capture runs nothing
            memory.copy_(content)

    def run(self, inputs: Sequence[Tensor]) -> Tensors:
        with torch.no_grad():
            for mine, given in zip(self.inputs, inputs, strict=True):
                mine.copy_(given)
            for func, args, kwargs, fresh in self.calls:
                results = _tensors(func(*args, **kwargs))
                for place, t in fresh:
                    t.copy_(results[place])
            return tuple(t.clone() for t in self.outputs)


def _tensors(thing: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(thing) if isinstance(leaf, Tensor)]
