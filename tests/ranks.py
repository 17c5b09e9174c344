"""Runs a function in several processes that share batches, forked so that they have torch at once."""

import multiprocessing
import os
import pickle
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from supernet.distributed import Ranks
from supernet.torchrun import joined


def together(
    count: int, work: Callable[[Ranks], Any], folder: Path, seconds: float = 300
) -> list[Any]:
    """What `work(ranks)` returns in each of so many processes, by rank; an exception as it is."""
    fork, port = multiprocessing.get_context("fork"), _free_port()
    children = [
        fork.Process(target=_child, args=(rank, count, port, work, folder)) for rank in range(count)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(seconds)
        assert child.exitcode is not None, f"a process still runs after {seconds} s"
    return [pickle.loads((folder / f"rank-{rank}").read_bytes()) for rank in range(count)]


def _child(rank: int, count: int, port: int, work: Callable[[Ranks], Any], folder: Path) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    result: Any
    try:
        with joined() as ranks:
            result = work(ranks)
    except BaseException as error:
        traceback.print_exc(file=sys.stderr)
        result = error
    (folder / f"rank-{rank}").write_bytes(pickle.dumps(result))
    os._exit(0)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
