"""Seconds and memory of a call."""

import time

import pytest
import torch

from supernet.runs.timing import (
    Clock,
    clocked_in_turns,
    peak_memory,
    seconds,
    spread,
    was_busy,
)

CPU = torch.device("cpu")


def test_seconds_are_those_of_the_call() -> None:
    assert 0.02 <= seconds(lambda: time.sleep(0.02), CPU) < 1


def test_calls_take_turns() -> None:
    order: list[str] = []
    times = clocked_in_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, CPU
    )
    assert order == ["a", "b"] * 3
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3}


def test_cpu_seconds_are_those_of_the_process() -> None:
    def work() -> None:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    runs = {"work": work, "sleep": lambda: time.sleep(0.05)}
    found = clocked_in_turns(runs, 2, CPU)
    assert all(0.02 <= clock.cpu < 0.05 for clock in found["work"])
    assert all(clock.cpu < 0.02 and clock.wall >= 0.05 for clock in found["sleep"])


def test_the_machine_was_busy_where_a_tenth_of_the_time_is_not_ours() -> None:
    assert was_busy([Clock(1.0, 0.8), Clock(1.0, 1.0)])
    assert not was_busy([Clock(1.0, 0.9), Clock(1.0, 0.95)])
    assert not was_busy([Clock(1.0, 1.9)])  # two threads


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0, 9.0]) == {"seconds": 2.5, "least": 1.0, "most": 9.0}


def test_peak_memory_is_what_the_call_needs() -> None:
    found = peak_memory(lambda: torch.ones(64 << 18).sum(), CPU)  # 64 MiB of float32
    if found is None:
        pytest.skip("this system does not let a process reset its peak memory")
    assert 48 < found < 128
