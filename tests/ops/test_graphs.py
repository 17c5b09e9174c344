"""Attack loops as graphs: keys, copies, refusals. A fake graph stands in where there is no GPU."""

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ops import captures
from ops.captures import CaptureFailed, Captures
from ops.graphs import (
    MAX_CAPTURES,
    MAX_GRAPHS,
    REPLAYS,
    AttackGraph,
    AttackLoops,
    signature,
    tensors_of,
)


class Scale:
    """x -> factor * x + shift; `shift` is a constant that no tensor holds."""

    def __init__(self, factor: float, shift: float) -> None:
        self.factor, self.shift, self.parts = torch.tensor(factor), shift, [None, "text"]

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x + self.shift


def step(model: Any, x_adv: Tensor, x: Tensor, y: Tensor) -> None:
    x_adv.copy_(model(x_adv) + 0 * x)


class FakeGraph:
    """Replays by calling: on the copies, as a captured graph does."""

    made = 0

    def __init__(self, step: Any, steps: int, model: Any, x_adv: Tensor, x: Tensor, y: Tensor):
        FakeGraph.made += 1
        self.step, self.steps, self.model = step, steps, copy.deepcopy(model)

    def run(self, model: Any, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
        for mine, given in zip(tensors_of(self.model), tensors_of(model), strict=True):
            mine.copy_(given)
        x_adv = x_adv.clone()
        for _ in range(self.steps):
            self.step(self.model, x_adv, x, y)
        return x_adv


@pytest.fixture
def loops() -> AttackLoops:
    FakeGraph.made = 0
    return AttackLoops(FakeGraph)


def run(loops: AttackLoops, model: Any, size: int = 2, steps: int = 3, key: Any = "key") -> float:
    x = torch.ones(size)
    out = loops.run(step, steps, model, x.clone(), x, torch.zeros(size), key=key, on_cpu=True)
    assert (out == out[0]).all()
    return out[0].item()


def test_the_second_call_captures_and_later_ones_replay(loops: AttackLoops) -> None:
    made = []
    for _ in range(4):
        assert run(loops, Scale(2.0, 0.0)) == 8.0
        made.append(FakeGraph.made)
    assert made == [0, 1, 1, 1]


def test_a_replay_uses_the_tensors_of_the_model_at_hand(loops: AttackLoops) -> None:
    for factor in (2.0, 3.0, 4.0):
        assert run(loops, Scale(factor, 0.0)) == factor**3
    assert FakeGraph.made == 1


def test_constants_steps_shapes_and_keys_have_graphs_of_their_own(loops: AttackLoops) -> None:
    for _ in range(2):
        assert run(loops, Scale(2.0, 0.0)) == 8.0
        assert run(loops, Scale(2.0, 1.0)) == 15.0
        assert run(loops, Scale(2.0, 0.0), steps=1) == 2.0
        assert run(loops, Scale(2.0, 0.0), size=3) == 8.0
    assert FakeGraph.made == 4


def test_a_module_is_known_by_itself(loops: AttackLoops) -> None:
    """Two modules may hold the same tensors and compute different functions."""
    one, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    assert signature(one) != signature(other) and signature(one) == signature(one)
    before = signature(one)
    one.eval()
    assert signature(one) != before
    assert [t.shape for t in tensors_of(one)] == [(2, 2)]


def test_old_graphs_go(loops: AttackLoops) -> None:
    for size in range(1, MAX_GRAPHS + 3):
        run(loops, Scale(2.0, 0.0), size)
        run(loops, Scale(2.0, 0.0), size)
    assert len(loops._graphs) == MAX_GRAPHS


def test_captures_end_where_graphs_are_seldom_used_again(loops: AttackLoops) -> None:
    """More forms in turn than graphs are kept: each comes again, and finds its graph gone."""
    calls = [*range(MAX_GRAPHS + 1)] * 40
    for shift in calls:
        run(loops, Scale(2.0, float(shift)))
    assert MAX_CAPTURES <= FakeGraph.made <= MAX_CAPTURES + len(calls) // REPLAYS


@pytest.mark.slow
def test_replays_pay_for_more_captures(loops: AttackLoops) -> None:
    for shift in range(2 * MAX_CAPTURES):
        for _ in range(2 + REPLAYS):
            run(loops, Scale(2.0, float(shift)))
    assert FakeGraph.made == 2 * MAX_CAPTURES


def test_a_failed_capture_is_logged_once_and_runs_eagerly(caplog: Any) -> None:
    tried = []

    def refuse(*arguments: Any) -> None:
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    loops = AttackLoops(refuse)
    with caplog.at_level(logging.WARNING):
        for size in (2, 2, 2, 3, 3, 3):
            assert run(loops, Scale(2.0, 0.0), size) == 8.0
    lines = [r.getMessage() for r in caplog.records]
    assert lines == [
        "an attack runs without a CUDA graph: the capture failed: "
        "operation not permitted when stream is capturing; nor will any other of this process"
    ]
    assert tried == [1]  # a loop of another shape is not tried any more


def test_a_failed_capture_can_be_an_error() -> None:
    def refuse(*arguments: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    loops = AttackLoops(refuse, process=Captures(strict=True))
    run(loops, Scale(2.0, 0.0))
    with pytest.raises(CaptureFailed, match="cannot be captured: operation not permitted"):
        run(loops, Scale(2.0, 0.0))


def test_a_function_cannot_be_copied_and_says_so(loops: AttackLoops, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(loops, lambda x: 2 * x) == 8.0
    assert "shows no tensors that could be copied" in caplog.text


def test_a_graph_that_does_nothing_is_not_used(caplog: Any) -> None:
    class Empty(FakeGraph):
        def run(self, model: Any, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return x_adv.clone()

    loops = AttackLoops(Empty)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert run(loops, Scale(2.0, 0.0)) == 8.0
    assert [r.getMessage() for r in caplog.records] == [
        "an attack runs without a CUDA graph: its first replay is 1 of the attack's own change "
        "away from ordinary calls"
    ]


class Flipped(FakeGraph):
    """A graph whose replay has one pixel otherwise."""

    def run(self, *arguments: Any) -> Tensor:
        x_adv = super().run(*arguments)
        x_adv[0] = 0.0
        return x_adv


def test_a_few_flipped_signs_are_no_reason_to_refuse_a_graph() -> None:
    x, loops = torch.ones(100), AttackLoops(Flipped)
    for _ in range(3):
        out = loops.run(step, 3, Scale(2.0, 0.0), x.clone(), x, x, key="key", on_cpu=True)
    assert out[0] == 0.0 and out[1] == 8.0


def test_where_algorithms_repeat_no_sign_may_flip(caplog: Any) -> None:
    x = torch.ones(100)
    process = Captures()
    loops = AttackLoops(Flipped, process=process)
    with torch.backends.cudnn.flags(deterministic=True), caplog.at_level(logging.WARNING):
        for _ in range(3):
            out = loops.run(step, 3, Scale(2.0, 0.0), x.clone(), x, x, key="key", on_cpu=True)
        assert (out == 8.0).all() and "its first replay is 0.0" in caplog.text
        assert process.reasons == [record.getMessage() for record in caplog.records]
        strict = AttackLoops(Flipped, process=Captures(strict=True))
        strict.run(step, 3, Scale(2.0, 0.0), x.clone(), x, x, key="key", on_cpu=True)
        with pytest.raises(CaptureFailed, match="an attack is replayed wrongly"):
            strict.run(step, 3, Scale(2.0, 0.0), x.clone(), x, x, key="key", on_cpu=True)


def test_a_first_sight_is_logged_once(loops: AttackLoops, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            run(loops, Scale(2.0, 0.0))
    assert [r.getMessage() for r in caplog.records] == [
        "an attack of 3 steps on (2,): ordinary calls the first time, captured the second"
    ]


def test_other_arithmetic_is_another_graph(loops: AttackLoops) -> None:
    """A graph keeps the switches that it was captured under."""
    model = Scale(2.0, 0.0)
    for made, deterministic in ((1, False), (2, True), (2, False)):
        with torch.backends.cudnn.flags(deterministic=deterministic):
            for _ in range(2):
                run(loops, model)
        assert FakeGraph.made == made
    with torch.backends.cudnn.flags(allow_tf32=False):
        for _ in range(2):
            run(loops, model)
    assert FakeGraph.made == 3


class Shifted(nn.Module):
    """x -> factor * x + shift + offset, the last two being plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.shift = nn.Parameter(torch.tensor(2.0)), 0.0
        self.kept = (torch.tensor(0.0), {"unused": None})

    def forward(self, x: Tensor) -> Tensor:
        return (self.factor * x + self.shift + self.kept[0]).detach()


def test_plain_attributes_of_a_module_are_never_stale(loops: AttackLoops) -> None:
    model = Shifted()
    for shift, offset, expected in [(0.0, 0.0, 8.0), (1.0, 0.0, 15.0), (0.0, 1.0, 15.0)]:
        model.shift, model.kept = shift, (torch.tensor(offset), {"unused": None})
        for _ in range(3):
            assert run(loops, model) == expected
    assert FakeGraph.made == 2  # a number needs a graph of its own, a tensor is copied


def test_everything_happens_on_the_device_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's part is played by objects that only look where they are called."""
    x = torch.ones(2)
    current: list[Any] = ["another device"]
    seen: list[tuple[str, bool]] = []

    def here(name: str) -> None:
        seen.append((name, current[-1] == x.device))

    @contextlib.contextmanager
    def device(wanted: Any) -> Iterator[None]:
        current.append(wanted)
        yield
        current.pop()

    @contextlib.contextmanager
    def context(name: str) -> Iterator[None]:
        here(name)
        yield

    class Stream:
        def __init__(self) -> None:
            here("stream")

        def wait_stream(self, other: Any) -> None:
            here("wait")

    class Graph:
        def replay(self) -> None:
            here("replay")

    fakes = {
        "device": device, "Stream": Stream, "CUDAGraph": Graph, "current_stream": Stream,
        "stream": lambda stream: context("warm-up"), "current_device": lambda: current[-1],
        "graph": lambda graph, pool, stream: context("capture"),
    }  # fmt: skip
    monkeypatch.setattr(captures, "_SIDE", {})
    monkeypatch.setattr(
        torch._C, "_cuda_clearCublasWorkspaces", lambda: here("clear"), raising=False
    )
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    graph = AttackGraph(step, 1, Scale(2.0, 0.0), x.clone(), x, x)
    graph.run(Scale(2.0, 0.0), x.clone(), x, x)
    names = [name for name, _ in seen]
    assert {"stream", "warm-up", "capture", "replay"} <= set(names)
    at = names.index("capture")
    assert names[at - 1] == names[at + 1] == "clear"  # no memory of cuBLAS outlives a capture
    AttackGraph(step, 1, Scale(2.0, 0.0), x.clone(), x, x)
    assert [name for name, _ in seen[len(names) :]].count("stream") == names.count("stream") - 1
    assert all(on_device for _, on_device in seen), seen


def test_on_the_cpu_loops_are_ordinary_calls(loops: AttackLoops) -> None:
    x = torch.ones(2)
    for _ in range(3):
        loops.run(step, 2, Scale(2.0, 0.0), x.clone(), x, x, key="key")
    assert FakeGraph.made == 0


def test_threads_use_a_graph_one_after_the_other() -> None:
    busy, clashes = threading.Lock(), []

    class Slow(FakeGraph):
        def run(self, model: Any, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
            if not busy.acquire(blocking=False):
                clashes.append(1)
                return x_adv
            time.sleep(0.002)
            out = super().run(model, x_adv, x, y)
            busy.release()
            return out

    loops = AttackLoops(Slow)
    for _ in range(2):
        run(loops, Scale(2.0, 0.0))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: run(loops, Scale(n, 0.0)), range(1, 13)))
    assert found == [n**3 for n in range(1, 13)] and not clashes
