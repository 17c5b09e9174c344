"""Several processes that train one network together.

Every process (a rank) has the same weights, alpha and optimisers, and its own part of each batch;
gradients are added up before they are used (`supernet.shared_batches`). `Ranks` is all that the
rest of the program knows of the others, and in a process of its own it is `ALONE`, whose methods do
nothing. `supernet.torchrun` brings processes together.

Tensors go by gloo on CPUs and NCCL on GPUs, everything else by gloo.
"""

import datetime
import hashlib
import pickle
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from supernet.errors import UserError

T = TypeVar("T")
J = TypeVar("J", bound=Hashable)

STEP_TIMEOUT = datetime.timedelta(minutes=10)
"""A process that does not answer within a step for so long is given up."""
PATIENCE = datetime.timedelta(hours=1)
"""The same where the first process has something to do alone: it measures, writes, reads images."""
POLL_SECONDS = 0.05
"""Between two looks for results of other processes."""


class Lost(UserError):
    """Another process has ended, or does not answer any more."""


@dataclass(frozen=True)
class Ranks:
    """This process and the others of its run."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""
    local_count: int = 1
    store: Any = None
    """torch's store of values that all processes see, which the launcher keeps."""
    patient: Any = None
    """The group for waits of up to PATIENCE."""

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    @property
    def launcher(self) -> list[str]:
        """The words before the name of a script that start as many processes again."""
        if self.count == 1:
            return ["python"]
        machines = self.count // self.local_count
        nodes = ["--nnodes", str(machines)] if machines > 1 else []
        return ["torchrun", *nodes, "--nproc-per-node", str(self.local_count)]

    def launched(self, command: str) -> str:
        """A command as one process types it, as what starts these again."""
        if self.count == 1:
            return command
        program, rest = command.split(" ", 1)
        module = "" if program == "python" else "-m supernet "  # robust-supernet is no file to run
        return f"{' '.join(self.launcher)} {module}{rest}"

    def together(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a config as the user gave them, for all processes: a batch size is given for
        each, and counts the images of all in a config."""
        size = given.get("batch_size")
        return {**given, **({} if size is None else {"batch_size": size * self.count})}

    # Batches and gradients --------------------------------------------------------------------

    def part(self, index: Tensor) -> Tensor:
        """This process's images of a batch; parts differ by one image at most.

        Raises: UserError when there are fewer images than processes.
        """
        if len(index) < self.count:
            raise UserError(
                f"a step of {len(index)} images cannot be shared by {self.count} processes; start "
                f"at most {len(index)}"
            )
        return index if self.count == 1 else index.tensor_split(self.count)[self.rank]

    def weigh(self, mean: Tensor, here: int, everywhere: int) -> Tensor:
        """The summand of a mean over images that this process has `here` of."""
        return mean if self.count == 1 else mean * (here / everywhere)

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Each tensor added up over the processes: one message for each type of number.

        The result has the same bits everywhere. The tensors themselves stay as they are.
        """
        if self.count == 1:
            return list(tensors)
        result = list(tensors)
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            places = [n for n, tensor in enumerate(tensors) if tensor.dtype == dtype]
            flat = torch.cat([tensors[n].detach().reshape(-1) for n in places])
            with losing():
                dist.all_reduce(flat)
            pieces = flat.split([tensors[n].numel() for n in places])
            for n, piece in zip(places, pieces, strict=True):
                result[n] = piece.view(tensors[n].shape)
        return result

    # Agreement --------------------------------------------------------------------------------

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in one of the processes."""
        if self.count == 1:
            return flag
        value = torch.tensor(int(flag))
        with losing():
            dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)

    def gather(self, value: T) -> list[T]:
        """The value of every process, by rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with losing():
            dist.all_gather_object(values, value, group=self.patient)
        return values

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all of them; the others do not call `make`.

        Raises: UserError, in all of them, when `make` does.
        """
        if self.count == 1:
            return make()
        message: list[Any] = [None]
        if self.first:
            try:
                message = [(make(), None)]
            except UserError as error:
                self._broadcast([(None, str(error))])
                raise
        value, error_text = self._broadcast(message)[0]
        if error_text is not None:
            raise UserError(error_text)
        result: T = value
        return result

    @contextmanager
    def first_holds(self, context: AbstractContextManager[T]) -> Iterator[T]:
        """Enter a context in the first process alone; the others get what it yields."""
        with ExitStack() as stack:
            yield self.from_first(lambda: stack.enter_context(context))

    def in_turn(self, load: Callable[[], T]) -> T:
        """`load()` by the first process of each machine, then by the others: one of them downloads
        what is missing, the others find it there."""
        value = load() if self.local_rank == 0 else None
        self.gather(None)
        return value if value is not None else load()

    def refuse_different(self, values: Mapping[str, Any], when: str) -> None:
        """Compare hashes of values that must be the same in all processes, bit for bit.

        Raises: UserError that names the first rank which differs from rank 0, and the value.
        """
        if self.count == 1:
            return
        first, *others = self.gather({name: digest(value) for name, value in values.items()})
        for rank, found in enumerate(others, start=1):
            names = [name for name in first if found.get(name) != first[name]]
            if names:
                raise UserError(
                    f"rank {rank} of {self.count} has another {names[0]} than rank 0 {when}; start "
                    "all processes with the same versions, files and kind of device"
                )

    # Jobs -------------------------------------------------------------------------------------

    def spread(
        self, jobs: Sequence[J], do: Callable[[list[J]], Iterator[tuple[J, T]]]
    ) -> Iterator[tuple[J, T]]:
        """(job, result) of every job in every process; each is done by one of them, none is twice.

        Process r has the jobs r, r + count, ... Results come as they are known: first its own, and
        between them those that others have finished.
        """
        if self.count == 1 or not jobs:
            yield from do(list(jobs))
            return
        self.gather(None)  # all have read the results of the jobs before
        name = f"jobs-{next(_numbers)}"
        waiting = {n for n in range(len(jobs)) if n % self.count != self.rank}
        own = [n for n in range(len(jobs)) if n % self.count == self.rank]
        places = {jobs[n]: n for n in own}
        for job, result in do([jobs[n] for n in own]):
            with losing():
                self.store.set(f"{name}/{places[job]}", pickle.dumps(result))
            yield job, result
            yield from self._finished(name, jobs, waiting)
        while waiting:
            time.sleep(POLL_SECONDS)  # torchrun ends this process where another one has ended
            yield from self._finished(name, jobs, waiting)

    def _finished(self, name: str, jobs: Sequence[J], waiting: set[int]) -> Iterator[tuple[J, Any]]:
        for n in sorted(waiting):
            with losing():
                if not self.store.check([f"{name}/{n}"]):
                    continue
                result = pickle.loads(self.store.get(f"{name}/{n}"))
            waiting.discard(n)
            yield jobs[n], result

    # Devices ----------------------------------------------------------------------------------

    def device(self, device: torch.device) -> torch.device:
        """This process's own device of the kind that was asked for: on GPUs one for each.

        Raises: UserError when one GPU was named for several processes, or there are too few.
        """
        if self.count == 1 or device.type != "cuda":
            return device
        if device.index is not None:
            raise UserError(
                f"--device {device} names one GPU for {self.local_count} processes; give --device "
                "cuda, and choose GPUs with CUDA_VISIBLE_DEVICES"
            )
        there = torch.cuda.device_count()
        if there < self.local_count:
            raise UserError(
                f"{self.local_count} processes need as many GPUs, and there are {there}; start "
                f"torchrun with --nproc-per-node {there}, or give --device cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def _broadcast(self, message: list[Any]) -> list[Any]:
        with losing():
            dist.broadcast_object_list(message, src=0, group=self.patient)
        return message


ALONE = Ranks()
lost = threading.Event()
"""Whether another process is lost: then this one is on its way out, and no signal hurries it."""
_numbers = iter(range(2**62))
"""Of the calls of `spread`, which all processes make in the same order."""


@contextmanager
def losing() -> Iterator[None]:
    """Raises: Lost where torch cannot reach the other processes."""
    try:
        yield
    except RuntimeError as error:
        lost.set()
        raise Lost(f"another process has ended or does not answer ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


# Values -------------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """SHA-256 of tensors, numbers, text and None, in dictionaries, lists and tuples."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        found.update(f"{value.dtype}{tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            found.update(repr(key).encode())
            _feed(found, item)
    elif isinstance(value, list | tuple):
        found.update(str(len(value)).encode())
        for item in value:
            _feed(found, item)
    else:
        found.update(repr(value).encode())
