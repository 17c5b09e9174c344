"""What a process that computes for another needs, and one thread for sums that repeat."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def start_worker() -> None:
    """Begin a worker process: one thread, deaf to Ctrl-C, and gone when its parent is.

    Ctrl-C goes to the whole group, and the parent alone answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, as in a worker: sums keep their order, so that results depend
    neither on the machine's cores nor on how many processes there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _end_with_parent() -> None:
    # A parent that is killed cannot end its processes, which would wait for work for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
