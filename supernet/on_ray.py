"""Runs a function over many items on Ray: on this machine, or on a cluster that runs already.

Ray is optional. It starts the processes, hands them what they share, and starts anew what was lost
with a process or a machine; what a result means is the caller's.
"""

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from supernet.errors import UserError

PROCESSES = "processes"
"""What `--workers` is where no Ray is wanted."""
MISSING = (
    "Ray is not installed; install it with python -m pip install '.[sweep]' in the checkout, or "
    "python -m pip install 'ray>=2.40'"
)
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Ray sends nothing anywhere, and workers have the priority of the process that starts them (Ray's
own is 15, under which a training beside other work hardly moves)."""
LEAST_STORE = 80 << 20
"""Bytes. Ray wants 75 MiB or more for what processes share."""
KNOCK_SECONDS = 10.0
"""Until an address where nothing answers is given up."""
MOST_SUBMITTED = 1_000
"""Tasks that Ray knows of at a time, so that a hundred thousand do not fill its memory."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Lost:
    """An item without a result: every attempt died, or the function itself raised."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one item takes of a machine, and how often it is tried again after a death."""

    cpus: int = 1
    gpus: float = 0.0
    retries: int = 3


class OnRay:
    """A context manager in which `results` can be asked for.

    address: of a running cluster (`auto`, or HOST:PORT); None starts Ray on this machine, and ends
        it with the block. What Ray writes goes into a temporary folder, and it reports to nobody.
    cpus: how many CPUs of this machine it may use; None is all of them.
    store_bytes: how large the shared values are together.
    Raises: UserError when Ray is not installed or the cluster does not answer.
    """

    def __init__(
        self, *, address: str | None = None, cpus: int | None = None, store_bytes: int = 0
    ) -> None:
        self.address, self.cpus, self.store_bytes = address, cpus, store_bytes
        self._ray: Any = None
        self._folder: str | None = None
        self._put: tuple[Any, Any] | None = None

    def __enter__(self) -> "OnRay":
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError as error:
            raise UserError(MISSING) from error
        self._ray = ray
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            # A short path: sockets lie in it, whose names have a hundred letters at most.
            self._folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
            options |= {
                "address": "local",  # whatever RAY_ADDRESS says
                "num_cpus": self.cpus, "_temp_dir": self._folder, "include_dashboard": False,
                "object_store_memory": max(LEAST_STORE, 2 * self.store_bytes),
            }  # fmt: skip
        else:
            self._knock()
            options["address"] = self.address
        try:
            with _importable():
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            self._end()
            raise self._unreachable(error) from error
        except BaseException:  # Ctrl-C
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _knock(self) -> None:
        """Raise a UserError at once where nothing answers at the address: Ray tries for minutes."""
        host, _, port = (self.address or "").rpartition(":")
        if host and port.isdecimal():
            try:
                socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
            except (OSError, OverflowError) as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> UserError:
        if "InvalidAuthToken" in str(error.__cause__):
            return UserError(
                f"the Ray cluster at {self.address} asks for a token; set RAY_AUTH_MODE=token, and "
                "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN"
            )
        where = "be started on this machine" if self.address is None else f"reach {self.address}"
        reason = (str(error).strip().splitlines() or [repr(error)])[0][:200]
        return UserError(
            f"Ray could not {where} ({reason}); correct the address, or leave it out to use this "
            "machine"
        )

    def _end(self) -> None:
        with _deaf():
            self._put = None
            self._ray.shutdown()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def resources(self) -> dict[str, float]:
        """CPU and GPU of all machines together, as Ray counts them."""
        found: dict[str, float] = self._ray.cluster_resources()
        return {name: float(found.get(name, 0.0)) for name in ("CPU", "GPU")}

    def check(self, share: Share) -> None:
        """Raise a UserError where no machine can ever run an item, which would wait for ever.

        Only where Ray was started here: a cluster may grow.
        """
        if self.address is not None:
            return
        there = self.resources()
        for name, flag, wanted in (("CPU", "cpus", share.cpus), ("GPU", "gpus", share.gpus)):
            if wanted > there[name]:
                raise UserError(
                    f"a task asks for {wanted:g} {name}s and this machine gives Ray "
                    f"{there[name]:g}; lower --{flag}-per-task"
                )

    def results(
        self,
        function: Callable[[Any, Item], Any],
        shared: Any,
        items: Sequence[Item],
        share: Share,
    ) -> Iterator[tuple[Item, Any]]:
        """(item, function(shared, item)) as they finish; `Lost` in place of a result.

        An item whose process or machine dies is started again, `share.retries` times. An exception
        of the function is not: it would come again.

        Raises: UserError when the cluster itself is gone.
        """
        ray, errors = self._ray, self._ray.exceptions
        task = ray.remote(
            num_cpus=share.cpus, num_gpus=share.gpus, max_retries=share.retries,
            retry_exceptions=False,
        )(function)  # fmt: skip
        left = iter(items)
        running: dict[Any, Item] = {}
        try:
            reference = self._reference(shared)
            while True:
                while len(running) < MOST_SUBMITTED and (item := next(left, None)) is not None:
                    running[task.remote(reference, item)] = item
                if not running:
                    return
                # A short wait, so that Ctrl-C is answered.
                for done in ray.wait(list(running), num_returns=1, timeout=1.0)[0]:
                    item = running.pop(done)
                    try:
                        result = ray.get(done)
                    except errors.RaySystemError:
                        raise
                    except errors.RayError as error:
                        result = Lost(_reason(error))
                    yield item, result
        except (errors.RaySystemError, ConnectionError) as error:
            raise UserError(
                f"the Ray cluster is gone ({str(error).strip().splitlines()[0][:200]}); start it "
                "again: the same command goes on"
            ) from error

    def _reference(self, shared: Any) -> Any:
        """Ray's name for what items share; the same object is sent once."""
        if self._put is None or self._put[0] is not shared:
            self._put = (shared, self._ray.put(shared))
        return self._put[1]


def check_workers(workers: str) -> None:
    """Raises: UserError where a `--workers` is neither processes, ray nor ray:ADDRESS."""
    if workers != PROCESSES and not re.fullmatch(r"ray(:\S+)?", workers):
        raise UserError(
            f"--workers '{workers}' is unknown; choose {PROCESSES}, ray (on this machine), or a "
            "running cluster, ray:auto or ray:HOST:PORT"
        )


def require_ray(workers: str) -> None:
    """Raises: UserError where `--workers` asks for Ray, and it is not installed."""
    if workers != PROCESSES and importlib.util.find_spec("ray") is None:
        raise UserError(f"--workers {workers} needs Ray. {MISSING}")


def address_of(workers: str) -> str | None:
    """The cluster's address in `--workers ray:ADDRESS`; None is this machine."""
    return workers.partition(":")[2] or None


def _reason(error: Exception) -> str:
    """One line about what ended an item."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, UserError):
        return str(cause)
    if isinstance(cause, BaseException):  # the function raised
        return f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}"
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}"


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """Processes that start inside find this package where this process has found it."""
    before = os.environ.get("PYTHONPATH")
    root = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C waits until the block has ended: a second one would leave processes behind."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
