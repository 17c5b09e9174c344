"""Attack loops as graphs: keys, copies, refusals. A fake graph stands in where there is no GPU."""

import copy
import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ops.graphs import MAX_GRAPHS, AttackLoops, signature, tensors_of


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


def test_a_failed_capture_is_logged_once_and_runs_eagerly(caplog: Any) -> None:
    def refuse(*arguments: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    loops = AttackLoops(refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert run(loops, Scale(2.0, 0.0)) == 8.0
    lines = [r.getMessage() for r in caplog.records]
    assert lines == [
        "an attack runs without a CUDA graph: the capture failed: "
        "operation not permitted when stream is capturing"
    ]


def test_a_function_cannot_be_copied_and_says_so(loops: AttackLoops, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(loops, lambda x: 2 * x) == 8.0
    assert "shows no tensors that could be copied" in caplog.text


def test_on_the_cpu_loops_are_ordinary_calls(loops: AttackLoops) -> None:
    x = torch.ones(2)
    for _ in range(3):
        loops.run(step, 2, Scale(2.0, 0.0), x.clone(), x, x, key="key")
    assert FakeGraph.made == 0
