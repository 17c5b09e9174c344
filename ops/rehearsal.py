"""Runs code as if its tensors were on a GPU, and counts what the GPU would be asked to do.

    with rehearsal() as on_gpu:
        net = Supernet(...).to(DEVICE)
        ...
    on_gpu.launches, on_gpu.operators, on_gpu.waits

No GPU is needed and nothing is computed. Tensors on DEVICE have a shape, a dtype and strides but
no values (they are torch's meta tensors), and say that they are on "cuda:0". Every operator that
reaches them is noted, in forward and in backward passes, inside the cell's own operators too.
A fake CUDA device (`FakeTensorMode`) would do as well for the forward pass; the backward pass asks
such a tensor's device for its streams, and without a GPU there are none.

A wait is an operator that makes the host wait for the device: it reads a value back, its output's
shape depends on values, or it moves numbers from one memory to the other. None of these can be
captured in a CUDA graph.
"""

import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from cuda_ext import _native
from cuda_ext.mixed_cell import BODIES

DEVICE = torch.device("cuda:0")
_META = torch.device("meta")

VALUE_DEPENDENT = frozenset((
    "_local_scalar_dense", "item", "is_nonzero", "equal", "allclose", "nonzero", "masked_select",
    "unique_dim", "_unique", "_unique2", "unique_consecutive", "bincount", "repeat_interleave",
))  # fmt: skip
"""Operators that wait whatever memory their tensors are in."""

FREE = frozenset((
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted",
    "detach", "detach_", "alias", "lift_fresh", "_unsafe_view", "_reshape_alias", "set_",
))  # fmt: skip
"""Operators that launch nothing, besides views: they give memory or metadata."""

_NOT_ON_META = ("_sample_dirichlet", "_dirichlet_grad")
"""Operators that torch has for a GPU and not for meta tensors; their output is like their input."""

KERNELS = {
    "robust_supernet::channel_moments": 2,  # partial sums, their fold
    "robust_supernet::training_node_write": 2,  # factors of the normalisation, the node
    "robust_supernet::training_node_sums": 3,  # partial sums, their fold, the gradients
    "aten::native_batch_norm": 3,
    "aten::native_batch_norm_backward": 2,
    "aten::cudnn_batch_norm": 2,
    "aten::nll_loss_backward": 2,  # zeros, then one number an image
    "aten::max_pool2d_with_indices_backward": 2,
}
"""Kernels of an operator that launches more than one, by the code of torch and of cuda_ext."""

# The limits of torch's multi_tensor_apply.
_CHUNK, _BLOCKS = 65_536, 320
_TENSORS = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
_CAT = 128
"""Tensors that one launch of `cat` takes."""


class HostWait(RuntimeError):
    """The host would wait for a value that a rehearsal has not."""


class Rehearsal(TorchDispatchMode):
    """See the module. `launches` counts kernels, `operators` operators that launch, by name.

    cuDNN and cuBLAS count as one kernel for each result (a convolution's input and kernel gradient
    are two); they may use more. A `_foreach` operator counts the launches of its multi-tensor
    kernel, or one for each tensor where strides differ and torch takes the slow path.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.operators: Counter[str] = Counter()
        self.waits: list[str] = []
        self.pinned: list[Tensor] = []
        self.in_torch = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = str(func._schema.name)
        body = BODIES.get(name)
        given = _tensors((args, kwargs))
        if body is not None and any(t.is_meta for t in given):
            with _again(self):
                return body(*args, **kwargs)
        short = name.split("::")[1]
        on_device = any(t.is_meta for t in given) or kwargs.get("device") == _META
        if on_device and (short in VALUE_DEPENDENT or _reads_back(short, given, kwargs)):
            self.note_wait(name)
            raise HostWait(self.waits[-1])
        self.in_torch = True  # whose own Python for meta tensors asks for their true device
        try:
            if short in _NOT_ON_META:
                out = torch.empty_like(given[0])
            else:
                out = _fused(args) if short.startswith("_fused_") else func(*args, **kwargs)
        finally:
            self.in_torch = False
        results = _tensors(out)
        sides = {t.is_meta for t in (*given, *results)}
        if len(sides) == 2 and not self._sends(short, given, kwargs):
            self.note_wait(name)
        if True in sides and not (func.is_view or short in FREE):
            self.operators[name] += 1
            self.launches[name] += _kernels(name, args, results)
        return out

    def pin(self, t: Tensor) -> Tensor:
        """In place of `Tensor.pin_memory`."""
        self.pinned.append(t.clone())
        return self.pinned[-1]

    def _sends(self, short: str, given: list[Tensor], kwargs: Mapping[str, Any]) -> bool:
        """Whether pinned memory is copied to the device, which the host does not wait for."""
        asks = short == "_to_copy" and kwargs.get("non_blocking")
        return bool(asks) and any(t is given[0] for t in self.pinned)

    def note_wait(self, name: str) -> None:
        """Remember that this operator waits, and which line of the project called it."""
        self.waits.append(f"{name} at {_caller()}")

    @contextmanager
    def part(self) -> Iterator["Counts"]:
        """What happens inside the block alone; the numbers are there when it ends."""
        before = (self.launches.total(), self.operators.copy(), len(self.waits))
        counts = Counts()
        yield counts
        counts.names = self.operators - before[1]
        counts.launches = self.launches.total() - before[0]
        counts.operators = counts.names.total()
        counts.waits = self.waits[before[2] :]


@contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """Inside the block there is a GPU that computes nothing: see the module."""
    counted = Rehearsal()
    with _said_to_be_on_cuda(counted), _OnMeta(counted), counted:
        yield counted


class Counts:
    """Launches, operators that launch, these by name, and waits of one part."""

    def __init__(self) -> None:
        self.launches, self.operators = 0, 0
        self.names: Counter[str] = Counter()
        self.waits: list[str] = []


@contextmanager
def _again(mode: Rehearsal) -> Iterator[None]:
    """Both modes, while one of our own operators runs: torch switches them off inside it."""
    with torch._C._EnableTorchFunction(), _OnMeta(mode), mode:
        yield


class _OnMeta(TorchFunctionMode):
    """Sends what is meant for the device to meta tensors."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        super().__init__()
        self.rehearsal = rehearsal

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map(_meant, (tuple(args), dict(kwargs or {})), is_leaf=_is_leaf)
        if _copies_from_host(func, args, kwargs):
            self.rehearsal.note_wait(func.__name__)
        return func(*args, **kwargs)


def _copies_from_host(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether Python numbers become a tensor on the device: no operator shows that."""
    if func in (torch.tensor, torch.as_tensor):
        return kwargs.get("device") == _META
    if func is Tensor.new_tensor:
        return args[0].is_meta
    if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].is_meta:
        keys = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(isinstance(key, Sequence) for key in keys)
    return False


def _is_leaf(value: Any) -> bool:
    return isinstance(value, torch.device | str)


def _meant(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda":
        return _META
    return _META if isinstance(value, str) and value.split(":")[0] == "cuda" else value


@contextmanager
def _said_to_be_on_cuda(rehearsal: Rehearsal) -> Iterator[None]:
    """Meta tensors say that they are on the device, and its kernels count as built.

    Clipping takes the lists of tensors that it takes on a GPU.
    """
    devices, generators = _native._DEVICES, torch.cuda.default_generators
    tried, _native._TRIED = _native._TRIED, True  # a GPU that is there has no part in this
    real: Any = torch._C.TensorBase.device

    def is_on(t: Tensor) -> bool:
        return t.is_meta and not rehearsal.in_torch

    patched: dict[str, Any] = {
        "device": property(lambda t: DEVICE if is_on(t) else real.__get__(t)),
        "is_cuda": property(is_on),
        "pin_memory": lambda t: rehearsal.pin(t),
    }
    for name, value in patched.items():
        setattr(Tensor, name, value)
    if "cpu" in devices:
        _native._DEVICES = ("cpu", "cuda")
    has_foreach = clip_grad._has_foreach_support
    clip_grad._has_foreach_support = lambda tensors, device: (
        device.type == "meta" or has_foreach(tensors, device)
    )
    torch.cuda.default_generators = torch.cuda.default_generators or (torch.default_generator,)
    try:
        yield
    finally:
        for name in patched:
            delattr(Tensor, name)
        _native._DEVICES, torch.cuda.default_generators = devices, generators
        _native._TRIED = tried
        clip_grad._has_foreach_support = has_foreach


def _reads_back(short: str, given: list[Tensor], kwargs: Mapping[str, Any]) -> bool:
    """Whether values of the device are needed on the host."""
    if short.startswith("index") and len(given) > 1:  # a mask's size depends on its values
        return any(t.dtype in (torch.bool, torch.uint8) for t in given[1:])
    if short == "_to_copy":
        return given[0].is_meta and kwargs.get("device") not in (None, _META)
    return short == "copy_" and not given[0].is_meta


def _tensors(thing: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(thing) if isinstance(leaf, Tensor)]


def _fused(lists: Sequence[Any]) -> Any:
    """In place of an optimiser's fused step, which has no form for meta tensors and returns None.

    Raises: RuntimeError where lists differ in what torch's kernel wants alike.
    """
    for row in zip(*(a for a in lists if isinstance(a, list)), strict=True):
        if len({_layout(t) for t in row}) > 1:
            raise RuntimeError(f"a fused optimiser was given {[_layout(t) for t in row]}")
    return None


def _layout(t: Tensor) -> tuple[Any, ...]:
    strides = tuple(n for n, size in zip(t.stride(), t.shape, strict=True) if size > 1)
    return (t.dtype, tuple(t.shape), strides)


def _kernels(name: str, args: Sequence[Any], results: list[Tensor]) -> int:
    short = name.split("::")[1]
    if short.startswith(("_foreach", "_fused")):
        return _foreach(short, args)
    if short in ("cat", "stack", "_cat"):
        return -(-len(args[0]) // _CAT)
    if short in ("convolution", "cudnn_convolution", "_convolution"):
        return 1 if len(args) < 3 or args[2] is None else 2  # the bias is added by another kernel
    if short == "convolution_backward":
        return sum(args[-1])
    return KERNELS.get(name, 1)


def _foreach(short: str, args: Sequence[Any]) -> int:
    """Launches of a multi-tensor kernel: it holds so many tensors and so many blocks."""
    lists = [a for a in args if isinstance(a, list | tuple) and a and isinstance(a[0], Tensor)]
    many = len(lists[0])
    same = all(len({_layout(t) for t in row}) == 1 for row in zip(*lists, strict=True))
    if not same and short not in ("_foreach_copy_", "_foreach_norm"):
        return many
    depth = len(lists) + (0 if short.endswith("_") or short == "_foreach_norm" else 1)
    launches, tensors, blocks = 0, 0, 0
    for t in lists[0]:
        chunks = -(-t.numel() // _CHUNK)
        tensors += 1
        while chunks:
            taken = min(chunks, _BLOCKS - blocks)
            chunks, blocks = chunks - taken, blocks + taken
            if blocks == _BLOCKS or (tensors == _TENSORS[min(depth, 5)] and not chunks):
                launches, tensors, blocks = launches + 1, int(chunks > 0), 0
    launches += blocks > 0
    return launches + 2 if short == "_foreach_norm" else launches  # zeros before, a sum after


def _caller() -> str:
    """The innermost line outside torch and this file."""
    torch_home, here = str(Path(torch.__file__).parent), __file__
    for frame in reversed(traceback.extract_stack()):
        if frame.filename != here and not frame.filename.startswith(torch_home):
            return f"{Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno}"
    return "no line of Python"
