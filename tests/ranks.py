"""Runs a function in several processes that share batches: forked, they have torch at once."""

import contextlib
import faulthandler
import gc
import multiprocessing
import multiprocessing.connection
import os
import pickle
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from supernet.distributed import Ranks
from supernet.torchrun import joined


def together(
    count: int, work: Callable[[Ranks], Any], folder: Path, seconds: float = 300
) -> list[Any]:
    """What `work(ranks)` gives in each of so many processes, by rank.

    The exception that ends one, as its command would see it, stands for a result, and None for that
    of a killed process.

    Where a process is killed the others get SIGTERM, as from torchrun.
    """
    fork, port = multiprocessing.get_context("fork"), _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    children = [
        fork.Process(target=_child, args=(rank, count, port, work, folder, seconds))
        for rank in range(count)
    ]
    # A child must not collect what the threads of its parent have made: they are not there to join.
    gc.freeze()
    for child in children:
        child.start()
    gc.unfreeze()
    sentinels = {child.sentinel: child for child in children}
    while sentinels:
        ready = multiprocessing.connection.wait(list(sentinels), timeout=seconds)
        assert ready, f"a process still runs after {seconds} s:\n{_stacks(folder)}"
        for sentinel in ready:
            child = sentinels.pop(sentinel)  # type: ignore[index]
            child.join()
            if child.exitcode:
                for other in sentinels.values():
                    os.kill(other.pid or 0, signal.SIGTERM)
    return [_result(folder / f"rank-{rank}") for rank in range(count)]


def _stacks(folder: Path) -> str:
    """Where the processes that hang stand."""
    return "\n".join(path.read_text() for path in sorted(folder.glob("stack-*")))


def _child(
    rank: int, count: int, port: int, work: Callable[[Ranks], Any], folder: Path, seconds: float
) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(seconds * 0.9, file=(folder / f"stack-{rank}").open("w"))
    result: Any
    try:
        with joined() as ranks:
            result = work(ranks)
            ranks.gather(None)  # the first process keeps the store
    except BaseException as error:
        result = error
    (folder / f"rank-{rank}").write_bytes(pickle.dumps(result))
    os._exit(0)


def _result(path: Path) -> Any:
    if not path.exists():
        return None
    result = pickle.loads(path.read_bytes())
    path.unlink()
    return result


def _free_port() -> int:
    """A port below those that the system gives away by itself, which another test beside this one
    (Ray takes dozens) could be given before the first process listens."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as server, contextlib.suppress(OSError):
            server.bind(("127.0.0.1", port))
            return port
