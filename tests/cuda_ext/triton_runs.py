"""A program that runs the kernels in Triton, and fails where they differ from what they stand for.

    python -m tests.cuda_ext.triton_runs values cpu      (with TRITON_INTERPRET=1)
    python -m tests.cuda_ext.triton_runs cell cpu        (likewise)
    python -m tests.cuda_ext.triton_runs values cuda
    python -m tests.cuda_ext.triton_runs cell cuda
    python -m tests.cuda_ext.triton_runs captures cuda

It is a process of its own: Triton decides when it is imported whether it interprets, and an
operator is registered once in a process. Of the compiled extension it sees nothing, as on a machine
that has none. Triton's interpreter cuts bfloat16 off where a GPU rounds.
"""

import copy
import sys
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


class Hidden:
    """An importer that has no compiled extension."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raises: ImportError for the extension."""
        if name in ("cuda_ext._C", "cuda_ext._emulated"):
            raise ImportError("hidden for this program")


sys.meta_path.insert(0, Hidden())

from cuda_ext import _native, triton_ops  # noqa: E402
from cuda_ext.mixed_op import attack_node_ref, attack_step_ref, training_node_ref  # noqa: E402
from ops.fold import fold_mixture  # noqa: E402
from ops.mixed import MixedCell  # noqa: E402
from tests.cuda_ext.cases import node_inputs, relative_error  # noqa: E402
from tests.cuda_ext.test_cuda import to_gpu  # noqa: E402
from tests.cuda_ext.test_emulated import run_all  # noqa: E402

CASES = [
    (torch.float32, (2, 16, 17, 9), "channels_last", 3),
    (torch.float32, (2, 5, 9, 41), "channel_slice", 1),
    (torch.float32, (1, 6, 5, 3), "nchw", 2),
    (torch.float32, (1, 4, 6, 5), "crop", 1),
    (torch.float32, (1, 140, 2, 3), "channels_last", 1),
    (torch.float32, (3, 1, 4, 1), "channels_last", 2),
    (torch.bfloat16, (2, 16, 9, 24), "channels_last", 2),
    (torch.bfloat16, (1, 5, 4, 3), "channel_slice", 2),
]
REPEATED = (2, 5, 9, 41)
"""With many programs for each kernel that adds up."""


class Reference:
    """The operators by autograd of the references, in float64."""

    def channel_moments(self, y: list[Tensor]) -> tuple[Tensor, Tensor]:
        found = [torch.var_mean(t.double(), dim=(0, 2, 3), correction=0) for t in y]
        return torch.stack([m for _, m in found]), torch.stack([v for v, _ in found])

    def training_node_write(self, v: Any, y1: Any, y3: Any, w: Any, mean: Any, var: Any,
                            eps: float, relu: bool) -> tuple[Tensor, Tensor]:  # fmt: skip
        out, _, _ = training_node_ref(*map(doubles, (v, y1, y3)), w.double(), eps=eps)
        return out, out.relu()

    def training_node_sums(self, g: Any, v: Any, y1: Any, y3: Any, w: Any, mean: Any, var: Any,
                           eps: float) -> tuple[Tensor, Tensor]:  # fmt: skip
        """dw by autograd; the coefficients by their formula, which `cell` checks by autograd."""
        w = w.double().requires_grad_()
        out, _, _ = training_node_ref(*map(doubles, (v, y1, y3)), w, eps=eps)
        (dw,) = torch.autograd.grad(out, w, g.double())
        g, rows = g.double(), []
        for t, y in enumerate(t for pair in zip(y1, y3, strict=True) for t in pair):
            var, mean = torch.var_mean(y.double(), dim=(0, 2, 3), correction=0, keepdim=True)
            a = w[t // 2, 2 + t % 2].detach() / (var + eps).sqrt()
            b = -a * (g * (y - mean)).mean((0, 2, 3), keepdim=True) / (var + eps)
            d = -a * g.mean((0, 2, 3), keepdim=True) - b * mean
            rows.append(torch.stack([a, b, d]).view(3, -1))
        return dw, torch.stack(rows)

    def norm_backward(self, g: Any, y: Any, coef: Any, dy: list[Tensor]) -> None:
        for i, (t, (a, b, d)) in enumerate(zip(y, coef[..., None, None].unbind(0), strict=True)):
            dy[i] = a * g + b * t + d

    def attack_node(self, v: Any, z: Any, w: Any, bias: Any, relu: bool) -> Any:
        return attack_node_ref(doubles(v), doubles(z), w.double(), bias.double(), relu=relu)

    def node_backward(self, g: Any, w: Any, z: Any, mask: Any, out: list[Tensor]) -> None:
        total = sum(self._source(each, w[s]) for s, each in enumerate(g))
        total = total + sum(doubles(z)) * (mask > 0)
        for i in range(len(out)):
            out[i] = total

    def attack_node_backward(self, g_out: Any, g_relu: Any, out: Any, w: Any, need: bool) -> Any:
        g = g_out.double() + g_relu.double() * (out > 0)
        return g, [self._source(g, row) for row in w]

    def _source(self, g: Tensor, w: Tensor) -> Tensor:
        v = torch.zeros_like(g, dtype=torch.float64).requires_grad_()
        zero = torch.zeros_like(v)
        out, _ = attack_node_ref([v], [zero], w[None].double(), zero[0, :, 0, 0], relu=False)
        return torch.autograd.grad(out, v, g.double())[0]

    def attack_step(self, x_adv: Tensor, grad: Any, x: Any, eps: Any, step_size: float) -> None:
        attack_step_ref(x_adv, grad, x, eps=eps, step_size=step_size)


class Watched:
    """The kernels, with the most programs that each is launched with."""

    def __init__(self, kernels: Any, grids: dict[str, int]) -> None:
        self.kernels, self.grids = kernels, grids

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(self.kernels, name)
        return Launches(name, kernel, self.grids) if hasattr(kernel, "run") else kernel


class Launches:
    """A kernel whose launches are watched."""

    def __init__(self, name: str, kernel: Any, grids: dict[str, int]) -> None:
        self.name, self.kernel, self.grids = name, kernel, grids

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        self.grids[self.name] = max(self.grids.get(self.name, 0), grid[0])
        return self.kernel[grid]


def doubles(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors in float64."""
    return [t.detach().double() for t in tensors]


def values(device: str) -> None:
    """Every operator equals its reference; of one case it repeats bit for bit."""
    assert _native._trial(triton_ops, device)
    real, grids = triton_ops.kernels(), dict[str, int]()
    triton_ops.kernels = lambda: Watched(real, grids)
    for dtype, shape, layout, num_sources in CASES:
        torch.manual_seed(0)
        inputs = node_inputs(shape, num_sources, layout, dtype=dtype)
        for image in range(shape[0]):  # so that programs see other means than each other
            for t in [*inputs.y1, *inputs.y3]:
                t[image] += image
        expected = run_all(Reference(), inputs)
        given: Any = to_gpu(inputs) if device == "cuda" else inputs
        operators = SimpleNamespace(**triton_ops.OPERATORS)
        found = run_all(operators, given)
        again = run_all(operators, given) if shape == REPEATED else found
        for name in expected:
            assert torch.equal(found[name], again[name]), f"{name} does not repeat"
            error = relative_error(found[name].cpu(), expected[name])
            # Two steps of bfloat16 where x_adv - x is two or three.
            limit = 1.0 if name == "x_adv" else 2e-2
            assert error < (2e-5 if dtype == torch.float32 else limit), (
                f"{name} of {shape}, {layout}, {dtype}: {error}"
            )
    alone = {name for name, programs in grids.items() if programs == 1}
    assert alone == {"finish"}, f"no case has several programs of {alone}"


def cell(device: str) -> None:
    """A cell and its folded form, forwards and backwards, are those of plain PyTorch."""
    torch.manual_seed(0)
    original = MixedCell(16).to(device)
    x = torch.randn(2, 16, 5, 4, device=device).contiguous(memory_format=torch.channels_last)
    w = torch.rand(6, 5, device=device)
    found = []
    torch.backends.cudnn.allow_tf32 = False
    for impl in ("native", "batched"):
        mixed = copy.deepcopy(original).train()  # it keeps running statistics
        given = x.clone().requires_grad_(), w.clone().requires_grad_()
        out = mixed(*given, impl=impl)
        grads = torch.autograd.grad(out.square().sum(), [*given, *mixed.parameters()])
        mixed.eval()
        folded = fold_mixture(mixed, w, impl=impl)
        attacked = x.clone().requires_grad_()
        result, _ = folded(attacked, attacked.relu())
        (dx,) = torch.autograd.grad(result.square().sum(), attacked)
        found.append([out, *grads, result, dx])
    for i, (actual, expected) in enumerate(zip(*found, strict=True)):
        assert relative_error(actual, expected) < 1e-4, i


def main() -> None:
    """What the command line names."""
    name, device = sys.argv[1:]
    if name == "values":
        values(device)
        return
    assert _native.by_triton("cuda") and not _native.available()
    if device == "cpu":
        triton_ops.register(define=False, key="CPU")
        _native._DEVICES = ("cpu",)
    if name == "cell":
        cell(device)
    else:
        from ops.captures import CAPTURES
        from tests.cuda_ext import captures

        CAPTURES.strict = True
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            captures.attack(device)
            captures.search(device)


if __name__ == "__main__":
    main()
