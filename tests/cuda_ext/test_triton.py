"""The kernels in Triton: interpreted on a CPU, compiled for a GPU that is not there, run on one."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cuda_ext import _native, triton_ops
from cuda_ext.triton_ops import Call
from tests.cuda_ext.cases import needs_native, tensor

ROOT = Path(__file__).resolve().parents[2]
needs_triton = pytest.mark.skipif(bool(_native._why_not_triton()), reason=_native._why_not_triton())


def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own, whose compiled kernels nobody else has."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        # What one test has compiled the next need not.
        env={**os.environ, "TRITON_CACHE_DIR": str(folder.parent / "triton"), **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("part", ["values", "cell"])
def test_interpreted_kernels_equal_plain_pytorch(part: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "tests.cuda_ext.triton_runs", part, "cpu", TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    os.environ.get("REQUIRE_GPU") != "1" and not torch.cuda.is_available(), reason="no GPU"
)
@pytest.mark.parametrize("part", ["values", "cell", "captures"])
def test_on_a_gpu(part: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "tests.cuda_ext.triton_runs", part, "cuda")
    assert done.returncode == 0, done.stderr


COMPILE = """
import json
from scripts.kernel_resources import compile_triton, faults
kernels = compile_triton("sm_90", (3,))
found = [text for name, kernel in kernels.items() for text in faults(name, kernel)]
print(json.dumps([list(kernels), found]))
"""


@pytest.mark.slow
@needs_triton
def test_no_kernel_spills_and_all_store_16_bytes(tmp_path: Path) -> None:
    """As compiled for an H100, which need not be there."""
    done = run(tmp_path, "-c", COMPILE)
    assert done.returncode == 0, done.stderr
    names, faults = json.loads(done.stdout)
    assert len(names) == 24, names
    assert not faults


@needs_native
def test_schemas_are_those_of_the_extension() -> None:
    assert len(triton_ops.SCHEMAS) == len(triton_ops.OPERATORS)
    for text in triton_ops.SCHEMAS:
        schema = torch._C.parse_schema(f"robust_supernet::{text}")
        name = schema.name.removeprefix("robust_supernet::")
        assert schema == getattr(torch.ops.robust_supernet, name).default._schema
        assert triton_ops.OPERATORS[name]


WITHOUT_EXTENSION = """
import tests.cuda_ext.triton_runs
from cuda_ext import _native
from ops.mixed import resolve_impl, why_impl
import torch
assert _native.runs_on("cuda") and not _native.runs_on("cpu")
assert resolve_impl("auto", "cuda") == "native" and resolve_impl("auto", "cpu") == "batched"
assert why_impl("auto", "cuda").startswith("kernels in Triton, compiled for this GPU in")
assert "hidden for this program" in why_impl("auto", "cpu")
has = torch._C._dispatch_has_kernel_for_dispatch_key
assert has("robust_supernet::attack_node", "CUDA")
assert not has("robust_supernet::attack_node", "CPU")
"""


@pytest.mark.slow
@needs_triton
def test_without_the_extension_a_gpu_has_kernels_and_a_cpu_none(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", WITHOUT_EXTENSION)
    assert done.returncode == 0, done.stderr


INSTEAD = """
import torch
from cuda_ext import _native, triton_ops
from cuda_ext.mixed_op import training_node
from ops.mixed import why_impl
from tests.cuda_ext.test_triton import on_cpu, pretend
import pytest

def trial(ops, device="cuda"):
    if ops is not triton_ops:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
    return real(ops, "cpu")

def sums(impl):
    leaves = [t.clone().requires_grad_() for t in (v, y1, y3, w)]
    out, *_ = training_node(*([t] for t in leaves[:3]), leaves[3], impl=impl)
    return torch.autograd.grad((out * v).sum(), leaves)

patch, take_triton = pytest.MonkeyPatch(), _native._take_triton
pretend(patch, ("cpu", "cuda"))
patch.setattr(_native, "_take_triton", take_triton)
real, register = _native._trial, triton_ops.register
_native._trial = trial
triton_ops.register = lambda **given: register(key="CPU", **given)
v, y1, y3 = (t.to(memory_format=torch.channels_last) for t in torch.randn(3, 2, 8, 5, 4))
w = torch.rand(1, 5)
compiled = sums("native")
assert _native.why_not("cuda") == "" and _native.by_triton("cuda")
said = why_impl("auto", "cuda")
assert said.startswith("kernels in Triton") and "no kernel image" in said, said
operators = torch._C._dispatch_dump("robust_supernet::training_node_backward").splitlines()
assert any(line.startswith("CPU: registered at") and "triton_ops" in line for line in operators)
for found, before, expected in zip(sums("native"), compiled, sums("reference"), strict=True):
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, before)
"""


@pytest.mark.slow
@needs_triton
@needs_native
def test_triton_takes_the_place_of_kernels_for_other_gpus(tmp_path: Path) -> None:
    """Interpreted, and in the place of the compiled kernels for the CPU."""
    done = run(tmp_path, "-c", INSTEAD, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr


def test_what_triton_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.2.0")
    assert "3.2.0 is older than 3.3" in _native._why_not_triton()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.10.1")
    assert _native._why_not_triton() == "Triton finds no C compiler; install gcc, or name one in CC"
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("CC", "gone")  # the only one that Triton asks then
    assert "no C compiler" in _native._why_not_triton()
    monkeypatch.setenv("CC", f"{sys.executable} -O")
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
    assert "no Python.h; install Python's headers" in _native._why_not_triton()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert _native._why_not_triton() == "Triton is not installed"
    monkeypatch.setattr(_native, "_DEVICES", ("cpu",))
    monkeypatch.setattr(_native, "_NO_TRITON", "Triton is not installed")
    assert _native.why_not("cuda").endswith("; Triton is not installed")


def pretend(monkeypatch: pytest.MonkeyPatch, compiled: tuple[str, ...]) -> None:
    """There is a GPU, and there are kernels for it, of which Triton's are for other processes."""
    for name, value in (
        ("_DEVICES", ("cpu", "cuda")), ("_COMPILED", compiled), ("_TRIED", False),
        ("_NO_TRITON", ""), ("_NOT_HERE", ""),
    ):  # fmt: skip
        monkeypatch.setattr(_native, name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(_native, "_take_triton", lambda: "Triton is not installed")


def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zeros", "ones", "tensor"):
        make = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *given, make=make, device=None, **kw: make(*given, **kw)
        )


def test_what_triton_cannot_do_here_is_found_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU cannot launch, as a GPU without a driver, or one that Triton no longer knows."""
    pretend(monkeypatch, ("cpu",))
    assert _native.by_triton("cuda") and not _native.by_triton("cpu")
    on_cpu(monkeypatch)
    assert not _native.choose("auto", "cuda")
    assert _native.why_not("cuda").startswith("the kernels in Triton fail here (")
    assert not _native.by_triton("cuda")
    with pytest.raises(RuntimeError, match="the kernels in Triton fail here"):
        _native.choose("native", "cuda")


def test_kernels_that_were_built_for_other_gpus_are_found_before_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a GPU torch cannot make the tensors, as one without the kernels cannot run them."""
    pretend(monkeypatch, ("cpu", "cuda"))
    assert not _native.choose("auto", "cuda")
    said = _native.why_not("cuda")
    assert said.startswith("the compiled CUDA kernels fail here (") and "builds" not in said
    pretend(monkeypatch, ("cpu", "cuda"))

    def trial(ops: object) -> bool:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(_native, "_trial", trial)
    assert _native.why_not("cuda").endswith(
        "builds them for this GPU, where nvcc is; Triton is not installed"
    )
    assert _native.compiled_for() == ("cpu",) and not _native.by_triton("cuda")


def test_kernels_are_not_tried_where_that_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(ops: object) -> bool:
        raise torch.OutOfMemoryError

    pretend(monkeypatch, ("cpu", "cuda"))
    monkeypatch.setattr(_native, "_trial", trial)
    assert _native.why_not("cuda") == "" and not _native._TRIED
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    monkeypatch.setattr(_native, "_trial", lambda ops: False)
    assert _native.why_not("cuda") == "" and not _native._TRIED
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    assert "wrong numbers" in _native.why_not("cuda") and _native._TRIED


@needs_native
def test_kernels_that_compute_wrong_numbers_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = torch.ops.robust_supernet
    assert _native._trial(ops, "cpu")
    wrong = SimpleNamespace(
        attack_step=ops.attack_step, training_node_sums=lambda *a: (0.5 * torch.ones(3, 5), None)
    )
    assert not _native._trial(wrong, "cpu")
    pretend(monkeypatch, ("cpu", "cuda"))
    on_cpu(monkeypatch)
    assert _native.why_not("cuda") == ""  # the CPU's kernels stand in, and are right
    monkeypatch.setattr(_native, "_TRIED", False)
    monkeypatch.setattr(_native, "_trial", lambda ops: False)
    assert "the compiled CUDA kernels compute wrong numbers here" in _native.why_not("cuda")


def test_triton_may_be_of_a_distribution_with_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", gone)
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.1.0"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert "Triton 3.1.0 is older than 3.3" in _native._why_not_triton()


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (2, 4, 5, 1), (2, 4, 1, 1), (1, 4, 1, 1)])
def test_slices_of_stacks_are_read_as_they_lie(shape: tuple[int, ...]) -> None:
    sliced = tensor(shape, "channel_slice")
    call = Call(sliced, "v")
    assert call.one(sliced, "v") is sliced
    dense = call.output()
    assert call.one(dense, "v") is dense and call.stride(dense) == 4
    pixels = sliced.permute(0, 2, 3, 1).reshape(-1, 4)
    read = sliced.as_strided(pixels.shape, (call.stride(sliced), 1))
    assert torch.equal(read, pixels)


@pytest.mark.parametrize("layout", ["crop", "nchw"])
def test_other_layouts_are_copied(layout: str) -> None:
    t = tensor((2, 4, 5, 3), layout)
    copy = Call(t, "v").one(t, "v")
    assert copy is not t and torch.equal(copy, t)
    assert copy.is_contiguous(memory_format=torch.channels_last)


def test_bad_input_is_refused_by_name() -> None:
    x, ops = tensor((1, 4, 3, 3)), triton_ops
    w, bias = torch.rand(1, 2), torch.rand(4)
    for said, refused in {
        r"z\[0\] has shape \(1, 2, 3, 3\), expected \(1, 4, 3, 3\)":
            lambda: ops.attack_node([x], [x[:, :2]], w, bias, True),
        r"z has 2 tensors, expected 1 as v has":
            lambda: ops.attack_node([x], [x, x], w, bias, True),
        r"v has 4 tensors, expected 1 to 3":
            lambda: ops.attack_node([x] * 4, [x] * 4, w, bias, True),
        r"w has shape \(1, 2\), expected \(1, 5\)":
            lambda: ops.training_node([x], [x], [x], w, 1e-5),
        r"w has dtype float64, expected float32":
            lambda: ops.attack_node([x], [x], w.double(), bias, True),
        r"x_adv has dtype float16, expected float32 or bfloat16; impl='reference' takes others":
            lambda: ops.attack_step(x.half(), x.half(), x.half(), 0.1, 0.1),
        r"grad has dtype bfloat16, expected float32 as x_adv has":
            lambda: ops.attack_step(x, x.bfloat16(), x, 0.1, 0.1),
        r"out\[0\] has strides .*, expected channels-last as the inputs":
            lambda: ops.node_backward([x], w, [], None, [x.contiguous()]),
        r"z has 3 tensors, expected at most 2":
            lambda: ops.node_backward([x], w, [x] * 3, None, [x]),
        r"g is on meta, expected cpu as v\[0\] is":
            lambda: ops.training_node_sums(x.to("meta"), [x], [x], [x], torch.rand(1, 5),
                                           torch.rand(1, 2, 4), torch.rand(1, 2, 4), 1e-5),
        r"y\[0\] has shape \(0, 4, 3, 3\), expected at least one image":
            lambda: ops.channel_moments([x[:0]]),
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=said):
            refused()
