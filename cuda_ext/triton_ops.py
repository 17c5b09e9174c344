"""The operators of mixed_op.py on CUDA tensors by the kernels of triton_kernels.py.

They check, allocate and launch, as csrc/ops.h does for compiled kernels, and take what those take
on CUDA: float32 and bfloat16, channels-last; other layouts are copied first. Nothing waits for the
device, so that a CUDA graph can capture every call but the first of a kind, which compiles.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from cuda_ext.common import NUM_OPS, POOL, SKIP, dtype_name

MOST_SOURCES, MOST_GATHERED = 3, 2
DTYPES = (torch.float32, torch.bfloat16)
PROGRAMS = 1024
"""That the moments of a large tensor are spread over."""
_MOST_ITEMS = 2**31 - 2**10
"""Columns and pixels are counted in 32 bits."""

Tensors = Sequence[Tensor]


def kernels() -> Any:
    """The kernels; Triton is imported when they are first needed."""
    from cuda_ext import triton_kernels

    return triton_kernels


# Arguments ------------------------------------------------------------------------------------


class Call:
    """One call's shape, dtype and device, taken from its first tensor and demanded of the rest."""

    def __init__(self, first: Tensor, name: str) -> None:
        shape = tuple(first.shape)
        if first.dim() != 4:
            raise ValueError(f"{name} has shape {shape}, expected (B, C, H, W)")
        if first.numel() == 0:
            raise ValueError(
                f"{name} has shape {shape}, expected at least one image, channel and pixel"
            )
        if first.dtype not in DTYPES:
            raise ValueError(
                f"{name} has dtype {dtype_name(first.dtype)}, expected float32 or bfloat16; "
                "impl='reference' takes others"
            )
        self.first, self.name = first, name
        self.B, self.C, self.H, self.W = shape
        self.pixels = self.B * self.H * self.W
        if self.pixels > _MOST_ITEMS:
            raise ValueError(
                f"the images have {self.pixels} pixels, expected at most {_MOST_ITEMS}"
            )

    def read(self, tensors: Tensors, name: str) -> list[Tensor]:
        """The tensors of a list, each as it lies or, where its pixels do not lie evenly, a copy."""
        return [self.one(t, f"{name}[{i}]") for i, t in enumerate(tensors)]

    def one(self, t: Tensor, name: str) -> Tensor:
        """A tensor whose pixels lie evenly: this one, or a copy."""
        self.check(t, name)
        return t if self.is_even(t) else t.contiguous(memory_format=torch.channels_last)

    def written(self, tensors: Tensors, name: str) -> list[Tensor]:
        """Tensors to write into: those given, or new ones for `copy_back` to copy into them."""
        for i, t in enumerate(tensors):
            self.check(t, f"{name}[{i}]")
            if t.stride(1) != 1 and self.C > 1:
                raise ValueError(
                    f"{name}[{i}] has strides {tuple(t.stride())}, expected channels-last as the "
                    "inputs"
                )
        return [t if self.is_even(t) else self.output() for t in tensors]

    def values(self, t: Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
        """Weights or statistics, in float32."""
        _check_shape(t, name, shape)
        self._check_device(t, name)
        if t.dtype not in (self.first.dtype, torch.float32):
            either = dict.fromkeys((dtype_name(self.first.dtype), "float32"))
            raise ValueError(
                f"{name} has dtype {dtype_name(t.dtype)}, expected {' or '.join(either)}"
            )
        return t.float().contiguous()

    def output(self) -> Tensor:
        """Memory for one more tensor of the call."""
        return torch.empty_like(self.first, memory_format=torch.channels_last)

    def new(self, *shape: int) -> Tensor:
        """Memory for values in float32."""
        return self.first.new_empty(shape, dtype=torch.float32)

    def is_even(self, t: Tensor) -> bool:
        """Whether pixel p starts p strides from the first, and channels are neighbours."""
        if self.C > 1 and t.stride(1) != 1:
            return False
        stride = self.stride(t)
        steps = ((self.B, 0, self.H * self.W), (self.H, 2, self.W), (self.W, 3, 1))
        return all(n == 1 or t.stride(dim) == pixels * stride for n, dim, pixels in steps)

    def stride(self, t: Tensor) -> int:
        """From one pixel to the next, in elements."""
        if self.W > 1:
            return t.stride(3)
        if self.H > 1:
            return t.stride(2)
        return t.stride(0) if self.B > 1 else self.C

    def strides(self, tensors: Tensors) -> tuple[int, ...]:
        """`stride` of each."""
        return tuple(self.stride(t) for t in tensors)

    def device(self) -> AbstractContextManager[Any]:
        """Triton launches on the current device."""
        return torch.cuda.device(self.first.device) if self.first.is_cuda else nullcontext()

    def check(self, t: Tensor, name: str) -> None:
        """Raises: ValueError where the shape, device or dtype is another than the first's."""
        _check_shape(t, name, tuple(self.first.shape))
        self._check_device(t, name)
        if t.dtype != self.first.dtype:
            own = dtype_name(self.first.dtype)
            raise ValueError(
                f"{name} has dtype {dtype_name(t.dtype)}, expected {own} as {self.name} has"
            )

    def _check_device(self, t: Tensor, name: str) -> None:
        if t.device != self.first.device:
            raise ValueError(
                f"{name} is on {t.device}, expected {self.first.device} as {self.name} is"
            )


def _check_shape(t: Tensor, name: str, expected: tuple[int, ...]) -> None:
    if tuple(t.shape) != expected:
        raise ValueError(f"{name} has shape {tuple(t.shape)}, expected {expected}")


def _check_length(tensors: Tensors, name: str, most: int, least: int = 1) -> None:
    if not least <= len(tensors) <= most:
        wanted = f"{least} to {most}" if least else f"at most {most}"
        raise ValueError(f"{name} has {len(tensors)} tensors, expected {wanted}")


def _check_as_many(tensors: Tensors, name: str, as_: Tensors, of: str) -> None:
    if len(tensors) != len(as_):
        raise ValueError(f"{name} has {len(tensors)} tensors, expected {len(as_)} as {of} has")


def _training(v: Tensors, y1: Tensors, y3: Tensors) -> tuple[Call, list[Tensor], list[Tensor]]:
    """The call, its sources, and y1[0], y3[0], y1[1], ..."""
    _check_length(v, "v", MOST_SOURCES)
    _check_as_many(y1, "y1", v, "v")
    _check_as_many(y3, "y3", v, "v")
    call = Call(v[0], "v[0]")
    parts = zip(call.read(y1, "y1"), call.read(y3, "y3"), strict=True)
    return call, call.read(v, "v"), [t for pair in parts for t in pair]


# Launches -------------------------------------------------------------------------------------


def _ceil_div(n: int, by: int) -> int:
    return -(-n // by)


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def tile(C: int, dtype: torch.dtype) -> tuple[int, int]:
    """(P, BC): the pixels and channels of a program of 128 threads, each with 16 bytes of them."""
    elements = 128 * 16 // dtype.itemsize
    BC = min(_power_of_two(C), 128)
    return elements // BC, BC


def _columns(call: Call, P: int, BC: int) -> tuple[int, tuple[int, int]]:
    """(how many columns of strips, the grid of programs that own P of them and BC channels)."""
    items = call.B * _ceil_div(call.H, kernels().STRIP) * call.W
    return items, (_ceil_div(items, P), _ceil_div(call.C, BC))


def _write(
    call: Call, v: Tensors, terms: Tensors, out: Tensors, w: Tensor, *, skip: int, pool: int,
    relu_out: Tensor | None = None, mask: Tensor | None = None, factor: Tensor | None = None,
    offset: Tensor | None = None, gather: bool = False,
) -> None:  # fmt: skip
    P, BC = tile(call.C, call.first.dtype)
    items, grid = _columns(call, P, BC)
    nothing = v[0]  # stands for a pointer that is not read
    with call.device():
        kernels().node_write[grid](
            tuple(v), tuple(terms) or (nothing,), nothing if mask is None else mask, tuple(out),
            nothing if relu_out is None else relu_out, w, nothing if factor is None else factor,
            nothing if offset is None else offset, items, call.H, call.W,
            V_STRIDES=call.strides(v), TERM_STRIDES=call.strides(terms) or (0,),
            MASK_STRIDE=0 if mask is None else call.stride(mask), OUT_STRIDES=call.strides(out),
            W_ROW=w.shape[1], SKIP=skip, POOL=pool, S=len(v), TERMS=len(terms), OUTS=len(out),
            HAS_FACTOR=factor is not None, HAS_OFFSET=offset is not None,
            HAS_MASK=mask is not None, HAS_RELU=relu_out is not None, GATHER=gather, C=call.C,
            BC=BC, P=P, STRIP=kernels().STRIP,
        )  # fmt: skip


def _moments(call: Call, y: Tensors) -> tuple[Tensor, Tensor]:
    k, T, C = kernels(), len(y), call.C
    P, BC = tile(C, call.first.dtype)
    steps = max(_ceil_div(call.pixels, P) // PROGRAMS, 1)
    programs = _ceil_div(call.pixels, P * steps)
    mean, var, partial = call.new(T, C), call.new(T, C), call.new(programs, T, 3, C)
    with call.device():
        k.moments[programs, _ceil_div(C, BC)](
            tuple(y), partial, call.pixels, Y=call.strides(y), T=T, C=C, BC=BC, P=P, STEPS=steps
        )
        k.fold_moments[_ceil_div(C, 8), T](
            partial, mean, var, programs, call.pixels, EACH=P * steps, T=T, C=C, BC=8, BP=64
        )
    return mean, var


def _output(call: Call, relu: bool) -> tuple[Tensor, Tensor]:
    return call.output(), call.output() if relu else call.first.new_empty(0)


# Operators ------------------------------------------------------------------------------------


def channel_moments(y: Tensors) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel of every y[t], each (T, C)."""
    _check_length(y, "y", 2 * MOST_SOURCES)
    call = Call(y[0], "y[0]")
    return _moments(call, call.read(y, "y"))


def training_node_write(
    v: Tensors, y1: Tensors, y3: Tensors, w: Tensor, mean: Tensor, var: Tensor, eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The node in training, with statistics that are known, and its relu (empty without `relu`)."""
    call, v, terms = _training(v, y1, y3)
    S, C = len(v), call.C
    w = call.values(w, "w", (S, NUM_OPS))
    mean, var = call.values(mean, "mean", (S, 2, C)), call.values(var, "var", (S, 2, C))
    factor, offset = call.new(2 * S, C), call.new(C)
    _, BC = tile(C, torch.float32)
    with call.device():
        kernels().norm_factors[(_ceil_div(C, BC),)](
            w, mean, var, factor, offset, eps, S=S, OPS=NUM_OPS, C=C, BC=BC
        )
    out, relu_out = _output(call, relu)
    _write(call, v, terms, [out], w, skip=SKIP, pool=POOL, factor=factor, offset=offset,
           relu_out=relu_out if relu else None)  # fmt: skip
    return out, relu_out


def training_node_sums(
    g: Tensor, v: Tensors, y1: Tensors, y3: Tensors, w: Tensor, mean: Tensor, var: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """dw (S, 5) and, for y1[0], y3[0], y1[1], ..., the coefficients of norm_backward (2S, 3, C)."""
    call, v, terms = _training(v, y1, y3)
    S, C, k = len(v), call.C, kernels()
    g, w = call.one(g, "g"), call.values(w, "w", (S, NUM_OPS))
    mean, var = call.values(mean, "mean", (S, 2, C)), call.values(var, "var", (S, 2, C))
    P, BC = tile(C, torch.float32)
    items, grid = _columns(call, P, BC)
    partial = call.new(grid[0], 1 + 4 * S, C)
    total = call.first.new_empty(1 + 4 * S, C, dtype=torch.float64)
    dw, coef = call.new(S, NUM_OPS), call.new(2 * S, 3, C)
    with call.device():
        k.node_sums[grid](
            g, tuple(v), tuple(terms), mean, partial, items, call.H, call.W, G=call.stride(g),
            V=call.strides(v), Y=call.strides(terms), S=S, C=C, BC=BC, P=P, STRIP=k.STRIP,
        )  # fmt: skip
        k.fold_sums[(_ceil_div(total.numel(), 8),)](
            partial, total, grid[0], COUNT=total.numel(), BN=8, BP=64
        )
        k.finish[(1,)](
            total, w, mean, var, dw, coef, float(call.pixels), eps,
            S=S, OPS=NUM_OPS, C=C, BC=_power_of_two(C),
        )  # fmt: skip
    return dw, coef


def norm_backward(g: Tensor, y: Tensors, coef: Tensor, dy: Tensors) -> None:
    """dy[t] = a g + b y[t] + d with coef[t] = (a, b, d), for every t, in place."""
    call = Call(g, "g")
    _check_length(y, "y", 2 * MOST_SOURCES)
    _check_as_many(dy, "dy", y, "y")
    y, g, T, C = call.read(y, "y"), call.one(g, "g"), len(y), call.C
    coef, to = call.values(coef, "coef", (T, 3, C)), call.written(dy, "dy")
    P, BC = tile(C, call.first.dtype)
    with call.device():
        kernels().norm_backward[_ceil_div(call.pixels, P), _ceil_div(C, BC)](
            g, tuple(y), coef, tuple(to), call.pixels, G=call.stride(g), Y=call.strides(y),
            DY=call.strides(to), T=T, C=C, BC=BC, P=P,
        )  # fmt: skip
    _copy_back(to, dy)


def _copy_back(written: Tensors, asked: Tensors) -> None:
    for t, wanted in zip(written, asked, strict=True):
        if t is not wanted:
            wanted.copy_(t)


def training_node(
    v: Tensors, y1: Tensors, y3: Tensors, w: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """out, mean and var of the node in training; the statistics are those of y1 and y3."""
    call, v, terms = _training(v, y1, y3)
    call.values(w, "w", (len(v), NUM_OPS))  # refused before anything is launched
    mean, var = (t.view(len(v), 2, call.C) for t in _moments(call, terms))
    out, _ = training_node_write(v, terms[::2], terms[1::2], w, mean, var, eps, False)
    return out, mean, var


def training_node_backward(
    g: Tensor, v: Tensors, y1: Tensors, y3: Tensors, w: Tensor, mean: Tensor, var: Tensor,
    eps: float, need_v: bool, need_y: bool,
) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:  # fmt: skip
    """Gradients of `training_node` to v, y1, y3 and w; empty lists where they are not needed."""
    call, v, terms = _training(v, y1, y3)
    g = call.one(g, "g")  # what had to be copied is copied once
    dw, coef = training_node_sums(g, v, terms[::2], terms[1::2], w, mean, var, eps)
    dv, dy = [], [call.output() for _ in terms] if need_y else []
    if need_y:
        norm_backward(g, terms, coef, dy)
    if need_v:
        w2 = torch.stack((w[:, SKIP], w[:, POOL]), 1)
        dv = _source_gradients(call, g, call.values(w2, "w", (len(v), 2)))
    return dv, dy[::2], dy[1::2], dw.to(w.dtype)


def _source_gradients(call: Call, g: Tensor, w: Tensor) -> list[Tensor]:
    """w[s, 0] g + w[s, 1] poolT(g) for every s."""
    dv = [call.output() for _ in range(len(w))]
    for s, out in enumerate(dv):
        _write(call, [g], [], [out], w[s : s + 1], skip=0, pool=1, gather=True)
    return dv


def attack_node(
    v: Tensors, z: Tensors, w: Tensor, bias: Tensor, relu: bool
) -> tuple[Tensor, Tensor]:
    """The node of the folded cell and its relu (empty without `relu`)."""
    _check_length(v, "v", MOST_SOURCES)
    _check_as_many(z, "z", v, "v")
    call = Call(v[0], "v[0]")
    w = call.values(w, "w", (len(v), 2))
    bias = call.values(bias, "bias", (call.C,))
    out, relu_out = _output(call, relu)
    _write(call, call.read(v, "v"), call.read(z, "z"), [out], w, skip=0, pool=1, offset=bias,
           relu_out=relu_out if relu else None)  # fmt: skip
    return out, relu_out


def attack_node_backward(
    g_out: Tensor, g_relu: Tensor | None, out: Tensor, w: Tensor, need_v: bool
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of `attack_node` to every z, which is that of its sum, and to v if needed."""
    call = Call(out, "out")
    g, w = call.one(g_out, "g_out"), call.values(w, "w", (len(w), 2))
    if g_relu is not None:
        total, one = call.output(), call.new(1, 2).zero_()
        one[:, 0].fill_(1)
        _write(call, [g], [call.one(g_relu, "g_relu")], [total], one, skip=0, pool=1,
               mask=call.one(out, "out"), gather=True)  # fmt: skip
        g = total
    return g, _source_gradients(call, g, w) if need_v else []


def node_backward(g: Tensors, w: Tensor, z: Tensors, mask: Tensor | None, out: Tensors) -> None:
    """out = sum_s w[s, 0] g_s + w[s, 1] poolT(g_s) + [mask > 0] sum_t z_t, into every out."""
    _check_length(g, "g", MOST_SOURCES)
    _check_length(z, "z", MOST_GATHERED, least=0)
    _check_length(out, "out", MOST_SOURCES)
    call = Call(g[0], "g[0]")
    to = call.written(out, "out")
    _write(
        call, call.read(g, "g"), call.read(z, "z"), to, call.values(w, "w", (len(g), 2)), skip=0,
        pool=1, mask=None if mask is None else call.one(mask, "mask"), gather=True,
    )  # fmt: skip
    _copy_back(to, out)


def attack_step(
    x_adv: Tensor, grad: Tensor, x: Tensor, eps: float | None, step_size: float
) -> None:
    """clip(x_adv + step_size sign(grad), x - eps, x + eps), then clip to [0, 1], in place."""
    call = Call(x_adv, "x_adv")
    for t, name in ((grad, "grad"), (x, "x")):
        call.check(t, name)
    dense = torch.ops.aten.is_non_overlapping_and_dense(x_adv)
    target = x_adv if dense else x_adv.contiguous()
    grad, x = (
        t if t.stride() == target.stride() else torch.empty_like(target).copy_(t) for t in (grad, x)
    )
    N, numel = 128 * 16 // x_adv.dtype.itemsize, target.numel()
    with call.device():
        kernels().attack_step[(_ceil_div(numel, N),)](
            target, grad, x, numel, step_size, eps or 0.0, PROJECT=eps is not None, N=N
        )
    if not dense:
        x_adv.copy_(target)


OPERATORS: dict[str, Callable[..., Any]] = {
    op.__name__: op
    for op in (
        training_node, training_node_backward, attack_node_backward, channel_moments,
        training_node_write, training_node_sums, norm_backward, attack_node, node_backward,
        attack_step,
    )
}  # fmt: skip

SCHEMAS = (
    "training_node(Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, float eps) -> "
    "(Tensor, Tensor, Tensor)",
    "training_node_backward(Tensor g, Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, "
    "Tensor mean, Tensor var, float eps, bool need_v, bool need_y) -> "
    "(Tensor[], Tensor[], Tensor[], Tensor)",
    "attack_node_backward(Tensor g_out, Tensor? g_relu, Tensor out, Tensor w, bool need_v) -> "
    "(Tensor, Tensor[])",
    "channel_moments(Tensor[] y) -> (Tensor, Tensor)",
    "training_node_write(Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, Tensor mean, "
    "Tensor var, float eps, bool relu) -> (Tensor, Tensor)",
    "training_node_sums(Tensor g, Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, Tensor mean, "
    "Tensor var, float eps) -> (Tensor, Tensor)",
    "norm_backward(Tensor g, Tensor[] y, Tensor coef, Tensor(a!)[] dy) -> ()",
    "attack_node(Tensor[] v, Tensor[] z, Tensor w, Tensor bias, bool relu) -> (Tensor, Tensor)",
    "node_backward(Tensor[] g, Tensor w, Tensor[] z, Tensor? mask, Tensor(a!)[] out) -> ()",
    "attack_step(Tensor(a!) x_adv, Tensor grad, Tensor x, float? eps, float step_size) -> ()",
)
"""Those of csrc/ops.h, for where nothing is compiled."""
_libraries: list[torch.library.Library] = []
"""An operator lives as long as the library that it was registered by."""


def register(*, define: bool, key: str = "CUDA") -> None:
    """Make these the operators for CUDA tensors; `define` where the extension has defined none."""
    library = torch.library.Library("robust_supernet", "FRAGMENT")
    for schema in SCHEMAS if define else ():
        library.define(schema)
    for name, operator in OPERATORS.items():
        library.impl(name, operator, key)
    _libraries.append(library)
