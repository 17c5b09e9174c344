"""What all CUDA graphs of a process have in common: whether one has failed, what was said of it.

`ops.graphs` captures attacks, `ops.regions` parts of a step. After a capture that failed the
process captures nothing more: in some versions of torch the memory allocator then believes that a
capture is still under way. Ordinary calls go on with it; `torch.cuda.empty_cache`, which does not,
is called nowhere here but before a capture. For the same reason a test of captures on a GPU is a
process of its own, in which a failure is an error (`CAPTURES.strict`).
"""

import logging
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ops import tf32

log = logging.getLogger(__name__)


class CaptureFailed(RuntimeError):
    """What could not be captured, where that is an error."""


class Captures:
    """What all captures of a process have in common."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        """Whether a capture that fails, or replays something else, is an error: for tests."""
        self.failed = False
        """Whether one has failed: then there are no more."""
        self._logged: set[str] = set()
        self._lasting: set[str] = set()
        """Of these the one that says why there are no more captures."""
        self._inside = threading.local()

    @property
    def reasons(self) -> list[str]:
        """What runs as ordinary calls where a graph could have been, and why; as it was logged."""
        return sorted(self._logged)

    def say(self, what: str, reason: str) -> None:
        """Log, once, that something runs as ordinary calls."""
        line = _line(what, reason)
        if line not in self._logged:
            self._logged.add(line)
            log.warning(line)

    def fail(self, what: str, error: Exception) -> None:
        """A capture has failed.

        Raises: CaptureFailed where `strict`.
        """
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if self.strict:
            raise CaptureFailed(f"{what} cannot be captured: {reason}") from error
        self.failed = True
        reason = f"the capture failed: {reason}; nor will any other of this process"
        self.say(what, reason)
        self._lasting.add(_line(what, reason))

    def refuse(self, what: str, reason: str) -> None:
        """A replay was not what it should be.

        Raises: CaptureFailed where `strict`.
        """
        if self.strict:
            raise CaptureFailed(f"{what} is replayed wrongly: {reason}")
        self.say(what, reason)

    def begin(self) -> None:
        """A new run begins in this process: what was said of earlier ones is not of it. That there
        are no more captures is."""
        self._logged &= self._lasting

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, this thread's attacks are a part of something that is captured as a whole."""
        before, self._inside.whole = self.inside, True
        try:
            yield
        finally:
            self._inside.whole = before

    @property
    def inside(self) -> bool:
        """Whether this thread is in a `whole` block."""
        return getattr(self._inside, "whole", False)


def _line(what: str, reason: str) -> str:
    return f"{what} runs without a CUDA graph: {reason}"


CAPTURES = Captures()
"""Those of this process."""


_SIDE: dict[int, torch.cuda.Stream] = {}


@contextmanager
def capture(graph: Any, pool: Any = None) -> Iterator[None]:
    """Capture what is launched inside into a torch.cuda.CUDAGraph, with memory of its own or of a
    pool.

    cuBLAS keeps working memory for each stream, and all captures of a device have one: what a
    capture allocated would serve the next one too, and be freed with the first graph, while the
    others still write to it. So there is none before a capture, and none is kept after it.
    """
    torch._C._cuda_clearCublasWorkspaces()
    try:
        # torch's own stream for captures is one of the process, and belongs to one device.
        with torch.cuda.graph(graph, pool=pool, stream=_side_stream()):
            yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()


def _side_stream() -> torch.cuda.Stream:
    """That of the current device: libraries keep working memory for every stream they have seen."""
    device = torch.cuda.current_device()
    if device not in _SIDE:
        _SIDE[device] = torch.cuda.Stream()
    return _SIDE[device]


@contextmanager
def on_side_stream() -> Iterator[None]:
    """Work on another stream, in order with the current one: where libraries allocate and choose
    algorithms before a capture."""
    stream = _side_stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream().wait_stream(stream)


def stream_of(t: Tensor) -> Hashable:
    """Calls of different streams are not in order, and cannot share a graph's buffers."""
    return torch.cuda.current_stream(t.device).cuda_stream if t.is_cuda else None


def form(t: Tensor) -> Hashable:
    """All of a tensor but its values and its place."""
    return (tuple(t.shape), t.stride(), t.dtype, t.device)


def arithmetic() -> Hashable:
    """The switches of the process that a capture keeps as they were."""
    cudnn = torch.backends.cudnn
    return (cudnn.deterministic, cudnn.benchmark, *tf32.precisions())
