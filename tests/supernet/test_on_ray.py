"""The engine alone, on functions that need no torch; tests/scripts/test_sweep.py has the sweep."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.on_ray import Lost, OnRay, Share, address_of, check_workers, require_ray


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(UserError, match=r"Ray is not installed; install it with .*\[sweep\]"),
        OnRay(),
    ):
        pass


def test_what_workers_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for workers, address in (
        ("ray", None),
        ("ray:auto", "auto"),
        ("ray:10.0.0.1:6379", "10.0.0.1:6379"),
    ):
        check_workers(workers)
        assert address_of(workers) == address
    for workers in ("", "rays", "ray:", "ray:a b", "threads"):
        with pytest.raises(UserError, match=r"is unknown; choose processes, ray .*ray:HOST:PORT"):
            check_workers(workers)
    check_workers("processes")
    monkeypatch.setitem(sys.modules, "ray", None)
    require_ray("processes")
    with pytest.raises(UserError, match=r"--workers ray:auto needs Ray\. Ray is not installed"):
        require_ray("ray:auto")


@pytest.fixture(scope="module")
def ray() -> Iterator[OnRay]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[sweep]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # of a cluster that nobody has named here
        with OnRay(cpus=2) as engine:
            yield engine


def _answer(shared: dict[str, Any], item: int) -> dict[str, Any]:
    """Once for each item: a process that kills itself, as the lack of memory would."""
    tried = Path(shared["folder"]) / str(item)
    attempts = int(tried.read_text()) + 1 if tried.exists() else 1
    tried.write_text(str(attempts))
    if item in shared["dies"] and attempts <= shared["dies"][item]:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == shared.get("raises"):
        raise ValueError("no such number")
    if item == shared.get("refuses"):
        raise UserError("the number is refused; take another")
    return {"item": item, "attempts": attempts, "root": os.environ.get("PYTHONPATH", "")}


@pytest.mark.slow
def test_each_item_has_one_result_whatever_dies(ray: OnRay, tmp_path: Path) -> None:
    shared = {"folder": str(tmp_path), "dies": {2: 1, 5: 99}, "raises": 7, "refuses": 8}
    found = dict(ray.results(_answer, shared, range(9), Share(cpus=1, retries=2)))
    assert sorted(found) == list(range(9))
    assert isinstance(found[5], Lost) and "WorkerCrashed" in found[5].reason
    assert found[7] == Lost("ValueError: no such number")
    assert found[8] == Lost("the number is refused; take another")
    assert found[2]["attempts"] == 2
    assert [found[item]["attempts"] for item in (0, 1, 3, 4, 6)] == [1] * 5
    assert (tmp_path / "5").read_text() == "3"  # the first attempt and two more
    assert str(Path(__file__).parents[2]) in found[0]["root"]


@pytest.mark.slow
def test_a_task_larger_than_the_machine_is_refused(ray: OnRay) -> None:
    ray.check(Share(cpus=2))
    with pytest.raises(
        UserError, match="asks for 3 CPUs and this machine gives Ray 2; lower --cpu"
    ):
        ray.check(Share(cpus=3))
    with pytest.raises(UserError, match=r"asks for 0\.5 GPUs and this machine gives Ray 0"):
        ray.check(Share(gpus=0.5))


def test_an_address_where_nothing_is_is_one_sentence_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))  # it is not asked
    with pytest.raises(
        UserError, match=r"could not reach 127.0.0.1:1 \(.*refused\); correct the add"
    ):
        OnRay(address="127.0.0.1:1").__enter__()


def test_a_cluster_that_asks_for_a_token_is_one_sentence() -> None:
    error = ConnectionError("Failed to connect to Ray cluster")
    error.__cause__ = RuntimeError("Last connection error: RPC error: InvalidAuthToken: missing")
    said = str(OnRay(address="node:6379")._unreachable(error))
    assert said.startswith("the Ray cluster at node:6379 asks for a token; set RAY_AUTH_MODE=token")


CLIENT = """
import sys
from supernet.on_ray import OnRay, Share
from tests.supernet.test_on_ray import _answer
with OnRay(address=sys.argv[1]) as engine:
    shared = {"folder": sys.argv[2], "dies": {1: 1}}
    found = dict(engine.results(_answer, shared, range(3), Share()))
print(sorted(found), [found[item]["attempts"] for item in range(3)])
"""


@pytest.mark.slow
def test_a_running_cluster_is_used_and_left_running(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[sweep]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "RAY_AUTH_MODE": "disabled"}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # a short path
        start = ["start", "--head", "--block", f"--port={port}", f"--temp-dir={folder}",
                 "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats"]  # fmt: skip
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *start], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_for(port, head)
            for number in range(2):  # the first client has not ended it
                (tmp_path / str(number)).mkdir()
                command = [sys.executable, "-c", CLIENT, f"127.0.0.1:{port}"]
                done = subprocess.run(
                    [*command, str(tmp_path / str(number))], env=environment, cwd=tmp_path,
                    capture_output=True, text=True, timeout=300,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
                assert done.stdout.splitlines()[-1] == "[0, 1, 2] [1, 2, 1]"
                assert head.poll() is None
        finally:
            head.terminate()
            head.wait(timeout=120)


def _wait_for(port: int, head: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until and head.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the cluster did not start")
