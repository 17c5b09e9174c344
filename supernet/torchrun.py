"""How the processes of a run come together, and how they end.

torchrun tells each by its environment who it is. Where one of them ends, it ends the others by
SIGTERM, and by SIGKILL 30 seconds later.
"""

import contextlib
import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist

from supernet.distributed import ALONE, PATIENCE, STEP_TIMEOUT, Lost, Ranks, first_line, lost
from supernet.errors import UserError
from supernet.quiet import hushed

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun, or any other launcher, tells a process by its environment."""
_here = ALONE


def current() -> Ranks:
    """The ranks of the block of `joined` that runs; `ALONE` outside of one."""
    return _here


@contextmanager
def joined() -> Iterator[Ranks]:
    """Inside the block this process is one of those that a launcher has started together.

    A mistake or Ctrl-C ends all of them, and one alone says so: the others leave with its status.
    SIGTERM, with which torchrun ends the others when one has ended, counts as Ctrl-C.
    """
    global _here
    if not all(os.environ.get(name) for name in VARIABLES) or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    with _told_to_end():
        try:
            _here = _join()
        except RuntimeError as error:
            raise Lost(f"the processes do not find each other ({first_line(error)})") from error
        try:
            with hushed(not _here.first):
                yield _here
        except (UserError, KeyboardInterrupt) as error:
            status = 130 if isinstance(error, KeyboardInterrupt) else 2
            if not _is_to_say(error, _here):
                raise SystemExit(status) from error
            raise
        finally:
            _here = ALONE
            if not lost.is_set():  # else it might wait for those that are gone
                with contextlib.suppress(RuntimeError):
                    dist.destroy_process_group()


def _join() -> Ranks:
    environment = os.environ
    store, rank, count = next(iter(dist.rendezvous("env://", timeout=STEP_TIMEOUT)))
    both = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if both else "gloo", store=store, rank=rank, world_size=count,
        timeout=STEP_TIMEOUT,
    )  # fmt: skip
    return Ranks(
        rank=rank,
        count=count,
        local_rank=int(environment.get("LOCAL_RANK", rank)),
        local_count=int(environment.get("LOCAL_WORLD_SIZE", count)),
        store=dist.PrefixStore("robust-supernet", store),
        patient=dist.new_group(backend="gloo", timeout=PATIENCE),
    )


def _is_to_say(error: BaseException, ranks: Ranks) -> bool:
    """Whether this process prints the sentence: of equal ones one does, and that another process is
    lost nobody says where that one has given its reason."""
    try:
        if isinstance(error, Lost):
            return not ranks.store.check(["reason"]) and ranks.store.add("lost", 1) == 1
        if isinstance(error, UserError):
            ranks.store.set("reason", "1")
        text = hashlib.sha256(str(error).encode("utf-8", "replace")).hexdigest()
        return int(ranks.store.add(f"said-{text}", 1)) == 1
    except RuntimeError:  # the launcher is gone, and its store
        return True


@contextmanager
def _told_to_end() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number: int, frame: FrameType | None) -> None:
    if not lost.is_set():
        raise KeyboardInterrupt
