"""Processes side by side: order within groups, how many at a time, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from supernet.studies.evidence import jobs
from supernet.studies.evidence.jobs import Jobs


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.005)


class Invented:
    """Processes that end when they have been looked at `looks` times."""

    def __init__(self, looks: dict[str, int], statuses: dict[str, int] | None = None) -> None:
        self.looks, self.statuses = looks, statuses or {}
        self.log: list[str] = []
        self.alive: list[str] = []
        self.most = 0
        self.told: list[tuple[str, int]] = []

    def start(self, name: str) -> "Process | None":
        if name not in self.looks:
            self.log.append(f"skip {name}")
            return None
        self.alive.append(name)
        self.most = max(self.most, len(self.alive))
        self.log.append(f"start {name}")
        return Process(name, self)

    def ended(self, name: str, status: int) -> None:
        self.log.append(f"end {name} {status}")


class Process:
    def __init__(self, name: str, world: Invented) -> None:
        self.name, self.world, self.left = name, world, world.looks[name]
        self.returncode = world.statuses.get(name, 0)

    def poll(self) -> int | None:
        self.left -= 1
        if self.left > 0:
            return None
        self.world.alive.remove(self.name)
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.world.told.append((self.name, number))

    def terminate(self) -> None:
        self.world.told.append((self.name, -signal.SIGTERM))


def run(world: Invented, groups: list[list[str]], most: int) -> list[str]:
    Jobs(world.start, world.ended, most=most).run(groups, lambda: False)  # type: ignore[arg-type]
    return world.log


def test_one_at_a_time_in_order() -> None:
    world = Invented({"a1": 2, "a2": 1, "b1": 1}, {"a2": 3})
    assert run(world, [["a1", "a2"], ["b1"]], 1) == [
        "start a1", "end a1 0", "start a2", "end a2 3", "start b1", "end b1 0"
    ]  # fmt: skip
    assert world.most == 1


def test_groups_side_by_side_and_each_in_order() -> None:
    world = Invented({"a1": 5, "a2": 1, "b1": 2, "b2": 2, "c1": 1, "c2": 9})
    log = run(world, [["a1", "a2"], ["b1", "b2"], ["c1", "c2"]], 2)
    assert world.most == 2
    assert log[:2] == ["start a1", "start b1"]
    for group in "abc":
        own = [entry for entry in log if f" {group}" in entry]
        assert own == [f"start {group}1", f"end {group}1 0", f"start {group}2", f"end {group}2 0"]
    # A group that has begun goes on before another begins.
    assert log.index("start b2") < log.index("start c1")


def test_what_has_nothing_to_run_takes_no_place() -> None:
    world = Invented({"a2": 1, "b1": 1})
    assert run(world, [["a1", "a2"], ["b0"], ["b1"]], 1) == [
        "skip a1", "start a2", "end a2 0", "skip b0", "start b1", "end b1 0"
    ]  # fmt: skip
    assert run(Invented({}), [["a"], []], 2) == ["skip a"]


def test_after_ctrl_c_nothing_begins_and_each_is_told_once() -> None:
    world = Invented({"a1": 4, "a2": 1, "b1": 9, "c1": 1}, {"a1": 130})
    looked = 0

    def interrupted() -> bool:
        nonlocal looked
        looked += 1
        return looked > 4

    Jobs(world.start, world.ended, most=2).run([["a1", "a2"], ["b1"], ["c1"]], interrupted)  # type: ignore[arg-type]
    assert world.log == ["start a1", "start b1", "end a1 130", "end b1 0"]
    assert world.told == [("a1", signal.SIGINT), ("b1", signal.SIGINT)]


def test_an_error_ends_the_others() -> None:
    world = Invented({"a1": 1, "b1": 9})

    def ended(name: str, status: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Jobs(world.start, ended, most=2).run([["a1"], ["b1"]], lambda: False)  # type: ignore[arg-type]
    assert world.told == [("b1", -signal.SIGTERM)]


def test_two_processes_do_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other's file: one after the other they would never end."""
    program = (
        "import pathlib, sys, time\n"
        "own, other = map(pathlib.Path, sys.argv[1:])\n"
        "own.touch()\n"
        "end = time.monotonic() + 60\n"
        "while not other.exists():\n"
        "    time.sleep(0.005)\n"
        "    assert time.monotonic() < end\n"
    )
    statuses: dict[str, int] = {}

    def start(name: str) -> "subprocess.Popen[bytes]":
        other = {"a": "b", "b": "a"}[name]
        return subprocess.Popen([sys.executable, "-c", program, tmp_path / name, tmp_path / other])

    Jobs(start, statuses.__setitem__, most=2).run([["a"], ["b"]], lambda: False)
    assert statuses == {"a": 0, "b": 0}


def test_a_second_ctrl_c_ends_the_processes() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        started.append(subprocess.Popen(command))
        return started[-1]

    def interrupt() -> None:
        while len(started) < 2:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Jobs(start, lambda name, status: None, most=2).run([["a"], ["b"]], lambda: False)
    thread.join()
    assert [process.wait(timeout=30) for process in started] == [-signal.SIGTERM] * 2
