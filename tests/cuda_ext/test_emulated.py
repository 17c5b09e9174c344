"""The CUDA kernels, run as loops on the host: index arithmetic, reductions, 16-byte accesses.

This is the nearest to a GPU that a machine without one comes. Launches, memory ordering and the
device's own arithmetic stay for test_cuda.py.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.cuda_ext.cases import (
    LAYOUTS,
    SANITIZED,
    SHAPES,
    emulated_ops,
    needs_native,
    node_inputs,
    relative_error,
    tensor,
)  # fmt: skip

pytestmark = needs_native
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Of the dtypes that CUDA kernels are built for. The emulation runs them in float64 too."""


def run_all(ops: Any, inputs: Any) -> dict[str, Tensor]:
    """Every operator once, on one set of inputs."""
    v, y1, y3, w, w2, g = inputs.v, inputs.y1, inputs.y3, inputs.w, inputs.w2, inputs.g
    S, C = len(v), v[0].shape[1]
    mean, var = (t.view(S, 2, C) for t in ops.channel_moments(interleave(y1, y3)))
    out, relu = ops.training_node_write(v, y1, y3, w, mean, var, 1e-5, True)
    dw, coef = ops.training_node_sums(g, v, y1, y3, w, mean, var, 1e-5)
    dy = [match_layout(torch.empty_like(t), out) for t in y1 + y3]
    ops.norm_backward(g, y1 + y3, coef, dy)
    attack, attack_relu = ops.attack_node(v, y3, w2, inputs.bias, True)
    gathered = [torch.empty_like(out) for _ in range(3)]
    ops.node_backward(v, w2, y1[:2], match_layout(out, v[0]), gathered)
    total, dv = ops.attack_node_backward(g, g, out, w2, True)
    x = v[0].abs().clamp(max=1)
    x_adv = x.clone()
    ops.attack_step(x_adv, g, x, 8 / 255, 2 / 255)
    return {
        "mean": mean, "var": var, "out": out, "relu": relu, "dw": dw[:, 1:], "coef": coef,
        "attack": attack, "attack_relu": attack_relu, "total": total, "x_adv": x_adv - x,
        **{f"dy {i}": t for i, t in enumerate(dy)},
        **{f"gathered {i}": t for i, t in enumerate(gathered)},
        **{f"dv {i}": t for i, t in enumerate(dv)},
    }  # fmt: skip


def interleave(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
    return [t for pair in zip(first, second, strict=True) for t in pair]


def match_layout(t: Tensor, like: Tensor) -> Tensor:
    channels_last = like.stride(1) == 1 or like.shape[1] == 1
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return t.contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] * s[2] * s[3] > 2])
def test_cuda_kernels_equal_the_cpu_kernels(shape: tuple[int, ...], layout: str) -> None:
    for num_sources in (1, 2, 3):
        inputs = node_inputs(shape, num_sources, layout, dtype=torch.float64)
        emulated = run_all(emulated_ops(), inputs)
        expected = run_all(torch.ops.robust_supernet, inputs)
        for name in expected:
            assert relative_error(emulated[name], expected[name]) < 1e-10, name


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("C", [16, 12, 5])
def test_every_dtype_in_wide_and_in_single_accesses(dtype: torch.dtype, C: int) -> None:
    inputs = node_inputs((3, C, 9, 6), 3, dtype=dtype)
    emulated = run_all(emulated_ops(), inputs)
    expected = run_all(torch.ops.robust_supernet, inputs)
    for name in expected:
        assert relative_error(emulated[name], expected[name]) < TOLERANCE[dtype], name


def test_a_slice_off_the_16_byte_grid_takes_single_accesses() -> None:
    inputs = node_inputs((2, 16, 5, 5), 1)
    wide = torch.randn(2, 33, 5, 5).contiguous(memory_format=torch.channels_last)
    inputs.y1 = [wide[:, 1:17]]
    emulated = run_all(emulated_ops(), inputs)
    expected = run_all(torch.ops.robust_supernet, inputs)
    for name in expected:
        assert relative_error(emulated[name], expected[name]) < 1e-5, name


def test_no_result_depends_on_the_order_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = node_inputs((3, 16, 20, 7), 3)
    forwards = run_all(emulated_ops(), inputs)
    monkeypatch.setenv("ROBUST_SUPERNET_EMULATED_BACKWARDS", "1")
    backwards = run_all(emulated_ops(), inputs)
    for name in forwards:
        assert torch.equal(forwards[name], backwards[name]), name


def test_more_channels_than_one_block_holds() -> None:
    inputs = node_inputs((1, 300, 3, 3), 2)
    emulated = run_all(emulated_ops(), inputs)
    expected = run_all(torch.ops.robust_supernet, inputs)
    for name in expected:
        assert relative_error(emulated[name], expected[name]) < 1e-5, name


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 3, 7, 5)])
def test_attack_step(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x, grad = tensor(shape).sigmoid().to(dtype), tensor(shape).to(dtype)
    for eps in (8 / 255, None):
        results = []
        for ops in (emulated_ops(), torch.ops.robust_supernet):
            x_adv = x.clone()
            ops.attack_step(x_adv, grad, x, eps, 0.1)
            results.append(x_adv)
        assert torch.equal(*results) and not torch.equal(results[0], x)


CSRC = Path(__file__).parents[2] / "cuda_ext" / "csrc"
FORMS = {"kTrain": "0", "kAttack": "1", "kGather": "2"}


def compiled() -> set[str]:
    """The kernels that cuda/*.cu compile for a GPU, by the names that the emulation gives them."""
    kernels = set()
    for source in sorted((CSRC / "cuda").glob("*.cu")):
        text = source.read_text()
        for name in re.findall(r"RS_KERNEL\((\w+(?:<.*?>)?)\)", text):
            name = re.sub(r"k[A-Z]\w+", lambda form: f"(rs::Form){FORMS[form[0]]}", f"rs::{name}")
            name = name.replace("BFloat16", "rs::BFloat16")
            for S in re.findall(r"^RS_SOURCES\((\d)\)", text, re.MULTILINE) or [""]:
                kernels.add(name.replace("S>", f"{S}>"))
    return kernels


def test_the_sanitized_cases_launch_every_kernel_that_a_gpu_has() -> None:
    """And no other: what is launched but not compiled would be missing when the library loads."""
    emulated_ops().launched()
    for dtype, shape, layout, num_sources in SANITIZED:
        run_all(emulated_ops(), node_inputs(shape, num_sources, layout, dtype=dtype))
    assert set(emulated_ops().launched().splitlines()) == compiled()


def test_every_kernel_of_the_headers_is_compiled() -> None:
    source = "".join(path.read_text() for path in sorted(CSRC.glob("grid_*.h")))
    structs = set(re.findall(r"struct (\w+Kernel) {", source))
    assert structs == {re.match(r"rs::(\w+)", name)[1] for name in compiled()}
    assert len(structs) == len(re.findall(r"\bvoid run\(", source))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("C", [16, 8, 5])
def test_outputs_are_written_into_slices_of_stacks(dtype: torch.dtype, C: int) -> None:
    """As a cell does, and nothing beside them."""
    inputs = node_inputs((2, C, 11, 3), 2, dtype=dtype)
    results = []
    for ops in (emulated_ops(), torch.ops.robust_supernet):
        stacks = [torch.full((2, 3 * C, 11, 3), 7.0, dtype=dtype) for _ in range(3)]
        stacks = [t.contiguous(memory_format=torch.channels_last) for t in stacks]
        slices = [t.narrow(1, place * C, C) for place, t in enumerate(stacks)]
        ops.node_backward(inputs.v, inputs.w2, inputs.y3, inputs.g, slices[:2])
        ops.norm_backward(inputs.g, inputs.y1[:1], torch.ones(1, 3, C), slices[2:])
        for place, t in enumerate(stacks):
            beside = torch.ones(3 * C, dtype=torch.bool)
            beside[place * C : (place + 1) * C] = False
            assert (t[:, beside] == 7).all() and (t[:, ~beside] != 7).any()
        results.append(torch.cat(slices))
    assert relative_error(*results) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", ["bias", "mean", "coef"])
def test_values_per_channel_off_the_16_byte_grid_are_read_singly(name: str) -> None:
    """The tensors are aligned, but values of their channels, read 16 bytes at a time, are not."""
    C = 8
    inputs = node_inputs((1, C, 4, 4), 1)
    odd = torch.rand(6 * C + 1)[1:]

    def run(ops: Any) -> list[Tensor]:
        if name == "bias":
            return list(ops.attack_node(inputs.v, inputs.y3, inputs.w2, odd[:C], True))
        if name == "mean":
            mean, var = odd[: 2 * C].view(1, 2, C), torch.ones(1, 2, C)
            v, y1, y3, w = inputs.v, inputs.y1, inputs.y3, inputs.w
            return list(ops.training_node_sums(inputs.g, v, y1, y3, w, mean, var, 1e-5))
        dy = [torch.empty_like(inputs.g)]
        ops.norm_backward(inputs.g, inputs.y1, odd[: 3 * C].view(1, 3, C), dy)
        return dy

    for actual, expected in zip(run(emulated_ops()), run(torch.ops.robust_supernet), strict=True):
        assert relative_error(actual, expected) < 1e-5


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_moments_of_a_large_mean_keep_their_digits(mean: float) -> None:
    """Two values, exact in float32, in a pattern that no pixel of a strip's start tells of."""
    y = torch.full((4, 16, 16, 4), mean)
    y[:, :, 1::2] += 1
    y = y.contiguous(memory_format=torch.channels_last)
    for wide in (y, y[:, :5].contiguous(memory_format=torch.channels_last)):
        actual_mean, var = emulated_ops().channel_moments([wide])
        torch.testing.assert_close(actual_mean, torch.full_like(var, mean + 0.5), rtol=1e-7, atol=0)
        torch.testing.assert_close(var, torch.full_like(var, 0.25), rtol=1e-6, atol=0)


def test_nchw_is_copied_to_channels_last() -> None:
    inputs = node_inputs((2, 8, 5, 3), 1, "nchw")
    out, _ = emulated_ops().attack_node(inputs.v, inputs.y3, inputs.w2, inputs.bias, False)
    assert out.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match=r"dy\[0\] has strides .*, expected channels-last as the"):
        emulated_ops().norm_backward(
            inputs.g, inputs.y1, torch.ones(1, 3, 8), [torch.empty_like(inputs.g)]
        )


def test_more_pixels_than_32_bits_count_are_refused() -> None:
    """One pixel seen 2^31 times: nothing is that large in memory."""
    many = torch.zeros(1, 1, 1, 1, dtype=torch.bfloat16).expand(2**31, 1, 1, 1)
    with pytest.raises(ValueError, match="have 2147483648 strips of 8 pixels, expected at most 21"):
        emulated_ops().node_backward([many], torch.rand(1, 2), [], None, [many])


def test_half_precision_is_refused_by_name() -> None:
    x = tensor((1, 4, 3, 3)).half()
    with pytest.raises(ValueError, match=r"x_adv has dtype Half, expected float32, float64 or bf"):
        emulated_ops().attack_step(x, x.clone(), x.clone(), 0.1, 0.1)


def far_apart(shape: tuple[int, ...], layout: str) -> Tensor:
    """Images more than 2^31 elements from each other. Only what is touched takes memory."""
    B, C, H, W = shape
    distance, image = 2**31 + 32, C * H * W
    try:
        memory = torch.empty((B - 1) * distance + image, dtype=torch.bfloat16)
    except RuntimeError as error:
        pytest.skip(f"no address space for 4 GiB that are not touched: {error}")
    inner = (1, W * C, C) if layout == "channels_last" else (H * W, W, 1)
    return memory.as_strided(shape, (distance, *inner))


@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
@pytest.mark.parametrize("library", ["robust_supernet", "robust_supernet_emulated"])
def test_offsets_beyond_32_bits(library: str, layout: str) -> None:
    emulated_ops()
    inputs = node_inputs((2, 8, 5, 3), 1, layout, dtype=torch.bfloat16)
    expected = run_all(getattr(torch.ops, library), inputs)
    for name in ("v", "y1", "y3"):
        near = getattr(inputs, name)
        setattr(inputs, name, [far_apart((2, 8, 5, 3), layout).copy_(t) for t in near])
    actual = run_all(getattr(torch.ops, library), inputs)
    for name in expected:
        assert torch.equal(actual[name], expected[name]), name


def test_the_same_messages_for_bad_input() -> None:
    inputs = node_inputs((1, 4, 3, 3), 1)
    with pytest.raises(ValueError, match=r"z\[0\] has shape \(1, 2, 3, 3\), expected \(1, 4, 3, 3"):
        emulated_ops().attack_node(inputs.v, [inputs.y3[0][:, :2]], inputs.w2, inputs.bias, True)
