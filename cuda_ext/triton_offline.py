"""Compiles the kernels in Triton for a GPU that is not there.

The operators run on CPU tensors, and what they would launch is compiled for the architecture and
kept, with the arguments, alignments and constants that a GPU's call would have. Nothing can be
launched in the process afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from cuda_ext import triton_kernels, triton_ops
from cuda_ext.common import dtype_name

Keep = Callable[[str, dict[str, Any], bytes], None]


def compiled_kernels(
    arch: int, sources: tuple[int, ...] = (1, 2, 3), C: int = 16
) -> dict[str, bytes]:
    """Name -> machine code: `node_write attack float32 S=3`, for nodes of C channels and these
    numbers of sources; `arch` is 90 for sm_90."""
    found: dict[str, bytes] = {}
    for dtype in triton_ops.DTYPES:

        def keep(
            name: str, constants: dict[str, Any], code: bytes, dtype: torch.dtype = dtype
        ) -> None:
            words = [name]
            if name == "node_write":
                form = "train" if constants["HAS_FACTOR"] else "attack"
                words.append("gather" if constants["GATHER"] else form)
                if constants["GATHER"]:
                    words.append(f"{constants['OUTS']} out, {constants['TERMS']} terms")
            words.append(dtype_name(dtype))
            words += [f"{key}={constants[key]}" for key in "ST" if key in constants]
            found[" ".join(words)] = code

        with _compiling(arch, keep):
            for S in sources:
                _launch_all(S, C, dtype)
    return found


def _launch_all(S: int, C: int, dtype: torch.dtype) -> None:
    """What a cell's forward and backward passes launch for a node with S sources, and a step."""
    ops = triton_ops

    def stack(n: int) -> Tensor:
        return torch.zeros(2, n * C, 8, 8, dtype=dtype).contiguous(
            memory_format=torch.channels_last
        )

    def slices(n: int = S) -> list[Tensor]:
        return [stack(3).narrow(1, C, C) for _ in range(n)]

    v, y1, y3, g = [stack(1) for _ in range(S)], slices(), slices(), stack(1)
    w, w2, bias = torch.zeros(S, 5), torch.zeros(S, 2), torch.zeros(C)
    mean, var = torch.zeros(S, 2, C), torch.zeros(S, 2, C)
    ops.channel_moments([*y1, *y3])
    ops.training_node_write(v, y1, y3, w, mean, var, 1e-5, True)
    ops.training_node_sums(g, v, y1, y3, w, mean, var, 1e-5)
    ops.norm_backward(g, [*y1, *y3], torch.zeros(2 * S, 3, C), [*slices(), *slices()])
    ops.attack_node(v, y3, w2, bias, True)
    ops.node_backward(v, w2, [y1[0], y3[0]], g, [stack(1)])  # of a training pass
    ops.node_backward(v, w2, y3[:1], g, slices(2 if S == 1 else 1))  # of an attack
    ops.attack_step(g.clone(), g, g, 0.1, 0.1)


@contextmanager
def _compiling(arch: int, keep: Keep) -> Iterator[None]:
    """Launches compile instead, and Triton asks no driver."""
    real = triton_ops.kernels
    driver.set_active(_Driver(arch))
    triton_ops.kernels = lambda: _Kernels(keep)
    try:
        yield
    finally:
        triton_ops.kernels = real


class _Driver:
    """What Triton asks of a GPU before it launches."""

    def __init__(self, arch: int) -> None:
        self.arch = arch

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.arch, 32)


class _Kernels:
    """The kernels, each of which compiles where it would be launched."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(triton_kernels, name)
        return _Launcher(name, kernel, self.keep) if hasattr(kernel, "warmup") else kernel


class _Launcher:
    def __init__(self, name: str, kernel: triton.JITFunction, keep: Keep) -> None:
        self.name, self.kernel, self.keep = name, kernel, keep

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def compile_only(*given: Any, **named: Any) -> None:
            code = self.kernel.warmup(*given, grid=grid, **named)
            self.keep(self.name, named, code.asm["cubin"])

        return compile_only
