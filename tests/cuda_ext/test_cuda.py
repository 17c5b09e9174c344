"""The kernels on a GPU: values, capture, streams, determinism, sizes. Skipped where there is none;
with REQUIRE_GPU=1 they fail there."""

import copy
import os

import pytest
import torch
from torch import Tensor

from cuda_ext import _native
from cuda_ext.mixed_op import attack_step
from ops.mixed import MixedCell
from tests.cuda_ext.cases import LAYOUTS, SANITIZED, SHAPES, node_inputs, relative_error
from tests.cuda_ext.test_captures import run_captures
from tests.cuda_ext.test_emulated import TOLERANCE, run_all

pytestmark = pytest.mark.skipif(
    os.environ.get("REQUIRE_GPU") != "1"
    and not (torch.cuda.is_available() and "cuda" in _native.compiled_for()),
    reason="no GPU, or the extension was built without CUDA",
)


def to_gpu(inputs: object) -> object:
    """The same inputs, strides and all, on the GPU: `.cuda()` would make slices dense."""

    def move(t: torch.Tensor) -> torch.Tensor:
        moved = torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="cuda")
        return moved.copy_(t)

    fields = vars(inputs)
    return type(inputs)(
        **{k: [move(t) for t in v] if isinstance(v, list) else move(v) for k, v in fields.items()}
    )


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [*(s for s in SHAPES if s[0] * s[2] * s[3] > 2), (5, 32, 17, 9)])
def test_every_kernel_equals_the_cpu_kernel(
    shape: tuple[int, ...], layout: str, dtype: torch.dtype
) -> None:
    """Statistics of few pixels differ more: the CPU sums them in another order."""
    for num_sources in (1, 2, 3):
        inputs = node_inputs(shape, num_sources, layout, dtype=dtype)
        expected = run_all(torch.ops.robust_supernet, inputs)
        actual = run_all(torch.ops.robust_supernet, to_gpu(inputs))
        for name in expected:
            assert relative_error(actual[name].cpu(), expected[name]) < TOLERANCE[dtype], name


def test_other_dtypes_are_refused_by_name() -> None:
    x = torch.rand(1, 4, 3, 3, device="cuda")
    for dtype, name in ((torch.float64, "Double"), (torch.float16, "Half")):
        v = x.to(dtype)
        with pytest.raises(ValueError, match=f"x_adv has dtype {name}, expected float32 or bfloat"):
            torch.ops.robust_supernet.attack_step(v, v.clone(), v.clone(), 0.1, 0.1)
        attack_step(v, v.clone(), v.clone(), eps=0.1, step_size=0.1)  # auto: the reference


@pytest.mark.sanitize
@pytest.mark.parametrize(("dtype", "shape", "layout", "num_sources"), SANITIZED)
def test_small_cases_of_every_kernel(
    dtype: torch.dtype, shape: tuple[int, ...], layout: str, num_sources: int
) -> None:
    inputs = node_inputs(shape, num_sources, layout, dtype=dtype)
    expected = run_all(torch.ops.robust_supernet, inputs)
    actual = run_all(torch.ops.robust_supernet, to_gpu(inputs))
    for name in expected:
        assert relative_error(actual[name].cpu(), expected[name]) < TOLERANCE[dtype], name


def test_results_repeat_bit_for_bit() -> None:
    inputs = to_gpu(node_inputs((32, 16, 32, 32), 3))
    first = run_all(torch.ops.robust_supernet, inputs)
    for _ in range(3):
        again = run_all(torch.ops.robust_supernet, inputs)
        for name in first:
            assert torch.equal(first[name], again[name]), name


def test_kernels_run_on_the_current_stream() -> None:
    inputs = to_gpu(node_inputs((64, 16, 32, 32), 3))
    expected = run_all(torch.ops.robust_supernet, inputs)["out"]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for t in inputs.v:  # queued behind a long wait: another stream would read the old values
            torch.cuda._sleep(10_000_000)
            t.mul_(1)
        actual = run_all(torch.ops.robust_supernet, inputs)["out"]
    torch.cuda.current_stream().wait_stream(stream)
    assert torch.equal(actual, expected)


def test_training_cell_is_as_near_to_double_precision_as_the_modules() -> None:
    cell, given = MixedCell(16).train(), [torch.randn(4, 16, 9, 9), torch.rand(6, 5)]

    def gradients(device: str, dtype: torch.dtype, impl: str) -> list[Tensor]:
        there = copy.deepcopy(cell).to(device, dtype)
        x, w = (t.to(device, dtype).requires_grad_() for t in given)
        leaves = [x, w, *there.parameters()]
        with torch.backends.cudnn.flags(allow_tf32=False):
            loss = there(x, w, impl).square().sum()
            return [t.cpu() for t in torch.autograd.grad(loss, leaves)]

    exact = gradients("cpu", torch.float64, "reference")
    native = gradients("cuda", torch.float32, "native")
    modules = gradients("cuda", torch.float32, "reference")
    for e, n, m in zip(exact, native, modules, strict=True):
        assert relative_error(n, e) < 4 * relative_error(m, e) + 1e-5


@pytest.mark.parametrize("what", ["attack", "search"])
def test_a_replay_equals_ordinary_calls(what: str) -> None:
    """In a process of its own, where a capture that fails is an error and spoils no other test."""
    done = run_captures(what, "cuda")
    assert done.returncode == 0, done.stderr


MANY = (129, 16, 1024, 1024)  # 2,164,260,864 elements, more than 2^31


def room_for(tensors: int) -> None:
    """Skips where the GPU has not the memory for so many tensors of that size in two bytes."""
    torch.cuda.empty_cache()
    free, needed = torch.cuda.mem_get_info()[0] / 2**30, (tensors + 1) * 2**31 * 2 / 2**30
    if free < needed:
        pytest.skip(f"needs {needed:.0f} GiB of free GPU memory, {free:.1f} GiB are free")


def many() -> Tensor:
    """Other numbers in every image."""
    t = torch.empty(MANY, dtype=torch.bfloat16, device="cuda", memory_format=torch.channels_last)
    pattern = torch.randn(MANY[1:], device="cuda")
    for b, image in enumerate(t):
        image.copy_(pattern + b / 16)
    return t


def test_attack_node_of_more_than_2_to_the_31_elements() -> None:
    room_for(3)
    v, z = many(), many()
    w, bias = torch.rand(1, 2, device="cuda"), torch.randn(16, device="cuda")
    out, _ = torch.ops.robust_supernet.attack_node([v], [z], w, bias, False)
    for b in (0, 64, 128):
        one = slice(b, b + 1)
        expected, _ = torch.ops.robust_supernet.attack_node([v[one]], [z[one]], w, bias, False)
        assert torch.equal(out[one], expected), b


def test_moments_of_more_than_2_to_the_31_elements() -> None:
    room_for(1)
    y = torch.empty(MANY, dtype=torch.bfloat16, device="cuda", memory_format=torch.channels_last)
    for b, image in enumerate(y):
        image.fill_(b % 2)
    p = 64 / 129  # of the images are 1
    mean, var = torch.ops.robust_supernet.channel_moments([y])
    torch.testing.assert_close(mean, torch.full_like(mean, p), rtol=1e-6, atol=0)
    torch.testing.assert_close(var, torch.full_like(var, p * (1 - p)), rtol=1e-6, atol=0)


def test_attack_step_of_more_than_2_to_the_31_elements() -> None:
    room_for(3)
    x, grad = many().fill_(0.5), many().sub_(4)
    x_adv = x.clone()
    torch.ops.robust_supernet.attack_step(x_adv, grad, x, 8 / 255, 2 / 255)
    for b in (0, 64, 128):
        one = slice(b, b + 1)
        expected = x[one].clone()
        torch.ops.robust_supernet.attack_step(expected, grad[one], x[one], 8 / 255, 2 / 255)
        assert torch.equal(x_adv[one], expected) and not torch.equal(expected, x[one]), b
