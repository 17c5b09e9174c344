"""Regions: what is captured when, what a replay must repeat, and what is refused."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ops import captures, regions
from ops.captures import CaptureFailed, Captures
from ops.graphs import AttackLoops
from ops.regions import Region, RegionGraph, Tensors
from tests.ops.recorded import RecordedGraph


class Counter:
    """A body that adds its input to a sum that stays where it is, and returns its double."""

    def __init__(self) -> None:
        self.sum, self.rate, self.calls = torch.zeros(2), torch.ones(()), 0

    def state(self) -> list[Tensor]:
        return [self.sum, self.rate]

    def body(self, x: Tensor) -> Tensors:
        self.calls += 1
        self.sum += self.rate * x
        return (2 * self.sum,)


def region(counter: Counter, **how: Any) -> Region:
    how = {"make_graph": RecordedGraph, "devices": ("cpu",), "process": Captures(), **how}
    return Region("a sum", counter.state, **how)


def run(here: Region, counter: Counter, *values: float, key: object = None) -> list[float]:
    outs = [here.run(counter.body, [torch.full((2,), v)], key)[0] for v in values]
    return [out[0].item() for out in outs]


def test_the_second_call_captures_and_later_ones_replay() -> None:
    counter, plain = Counter(), Counter()
    here = region(counter)
    found, captured, calls = [], [], []
    for value in (1.0, 2.0, 4.0, 8.0):
        found += run(here, counter, value)
        captured.append(here.captured)
        calls.append(counter.calls)
    assert found == [float(2 * sum((1, 2, 4, 8)[: n + 1])) for n in range(4)]
    assert captured == [False, True, True, True]
    assert calls == [1, 3, 3, 3]  # one ordinary call and the capture in the second
    for value in (1.0, 2.0, 4.0, 8.0):
        plain.body(torch.full((2,), value))
    assert torch.equal(counter.sum, plain.sum)


def test_a_number_that_changes_comes_out_of_a_tensor() -> None:
    counter = Counter()
    here = region(counter)
    run(here, counter, 1.0, 1.0, 1.0)
    counter.rate.fill_(10)
    assert run(here, counter, 1.0) == [26.0] and counter.calls == 3


def test_another_form_key_or_place_is_captured_anew() -> None:
    counter = Counter()
    here = region(counter)
    run(here, counter, 1.0, 1.0)
    assert here.captured
    run(here, counter, 1.0, key="another")
    assert not here.captured
    run(here, counter, 1.0, key="another")
    assert here.captured
    counter.sum = counter.sum.clone()  # as after a load: a graph would write into the old one
    assert run(here, counter, 1.0, key="another") == [10.0]
    assert not here.captured
    out = here.run(counter.body, [torch.ones(2, dtype=torch.float64)], "another")
    assert out[0][0] == 12.0 and not here.captured


def test_outputs_are_not_written_again() -> None:
    counter = Counter()
    here = region(counter)
    outs = [here.run(counter.body, [torch.ones(2)])[0] for _ in range(4)]
    assert [out[0].item() for out in outs] == [2.0, 4.0, 6.0, 8.0]


def test_a_failed_capture_is_said_once_and_changes_nothing(caplog: Any) -> None:
    class Reads(Counter):
        def body(self, x: Tensor) -> Tensors:
            self.sum += x
            return (self.sum * x.sum().item(),)

    process, counter = Captures(), Reads()
    here = region(counter, process=process)
    with caplog.at_level(logging.WARNING):
        assert run(here, counter, 1.0, 1.0, 1.0, 1.0) == [2.0, 4.0, 6.0, 8.0]
    assert [r.getMessage() for r in caplog.records] == [
        "a sum runs without a CUDA graph: the capture failed: operation not permitted when stream "
        "is capturing: _local_scalar_dense; nor will any other of this process"
    ]
    other = Counter()
    there = region(other, process=process)
    run(there, other, 1.0, 1.0, 1.0)
    assert process.failed and not there.captured and other.calls == 3
    strict = region(counter, process=Captures(strict=True))
    run(strict, counter, 1.0)
    with pytest.raises(CaptureFailed, match="a sum cannot be captured: operation not permitted"):
        run(strict, counter, 1.0)


@pytest.mark.parametrize("what", ["output", "state"])
def test_a_replay_of_other_bits_is_not_used(what: str, caplog: Any) -> None:
    class Wrong(RecordedGraph):
        def run(self, inputs: Sequence[Tensor]) -> Tensors:
            (out,) = super().run(inputs)
            if what == "output":
                return (torch.nextafter(out, out + 1),)
            counter.sum[1] = torch.nextafter(counter.sum[1], torch.tensor(99.0))
            return (out,)

    counter = Counter()
    here = region(counter, make_graph=Wrong)
    with caplog.at_level(logging.WARNING):
        assert run(here, counter, 1.0, 1.0) == [2.0, 4.0]
        assert torch.equal(counter.sum, torch.full((2,), 2.0))
        assert run(here, counter, 1.0, 1.0) == [6.0, 8.0] and not here.captured
    assert [r.getMessage() for r in caplog.records] == [
        "a sum runs without a CUDA graph: its first replay differs from ordinary calls in 1 tensors"
    ]
    strict = region(counter, make_graph=Wrong, process=Captures(strict=True))
    run(strict, counter, 1.0)
    with pytest.raises(CaptureFailed, match="a sum is replayed wrongly"):
        run(strict, counter, 1.0)


def test_a_graph_reads_its_own_buffers_and_gives_outputs_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torch's part is played by objects that do on the CPU what a replay of `body` would do."""
    pools: list[object] = []

    class Fake:
        def pool(self) -> object:
            return self

        def replay(self) -> None:
            graph.outputs[0].copy_(2 * graph.inputs[0])

    @contextlib.contextmanager
    def capture(graph: Fake, pool: object, stream: object) -> Iterator[None]:
        pools.append(pool)
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Fake)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, raising=False)
    monkeypatch.setattr(captures, "_side_stream", object)
    monkeypatch.setattr(regions, "_FIRST", {})
    x = torch.zeros(2)
    graph = RegionGraph(lambda x: (2 * x,), [x])
    outs = [graph.run([torch.full((2,), value)])[0] for value in (1.0, 3.0)]
    assert [out[0].item() for out in outs] == [2.0, 6.0] and not x.any()
    RegionGraph(lambda x: (x,), [x])
    first, *others = pools
    assert first is None and others == [regions._FIRST[x.device]] * 2


def test_what_cannot_be_captured_says_so_once(caplog: Any) -> None:
    counter = Counter()
    here = region(counter, never="it varies")
    with caplog.at_level(logging.WARNING):
        run(here, counter, 1.0, 1.0, 1.0)
    assert [r.getMessage() for r in caplog.records] == [
        "a sum runs without a CUDA graph: it varies"
    ]
    assert counter.calls == 3 and not here.captured


def test_on_a_cpu_bodies_run_as_they_are(caplog: Any) -> None:
    counter = Counter()
    here = Region("a sum", counter.state, "it varies")
    with caplog.at_level(logging.WARNING):
        run(here, counter, 1.0, 1.0, 1.0)
    assert counter.calls == 3 and not here.captured and not caplog.records


def test_attacks_inside_a_region_are_part_of_it_alone() -> None:
    process = Captures()
    loops = AttackLoops(lambda *arguments: pytest.fail("captured twice"), process=process)
    x, counter, model = torch.ones(2), Counter(), torch.nn.Linear(2, 2)

    def body(x: Tensor) -> Tensors:
        assert process.inside
        loops.run(lambda *a: None, 1, model, x, x, x, key="", on_cpu=True)
        return counter.body(x)

    here = region(counter, process=process)
    for _ in range(4):
        here.run(body, [x])
    assert here.captured and not process.inside


def test_random_numbers_are_refused() -> None:
    counter = Counter()

    def body(x: Tensor) -> Tensors:
        return counter.body(x + torch.rand(2))

    here = region(counter, process=Captures(strict=True))
    here.run(body, [torch.ones(2)])
    with pytest.raises(CaptureFailed, match="not permitted when stream is capturing: rand"):
        here.run(body, [torch.ones(2)])
