"""The imagined GPU: what waits is found, what launches is counted, by hand-made cases."""

import contextlib
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.sgd import sgd

from cuda_ext import _native
from ops.rehearsal import DEVICE, HostWait, rehearsal
from tests.cuda_ext.cases import needs_native

WAITS: list[Callable[[Tensor], object]] = [
    lambda t: t[[0, 1]],
    lambda t: t[[0, 1], (0, 1)],
    lambda t: t[torch.tensor([0, 1])],
    lambda t: t.to("cpu"),
    lambda t: torch.zeros(2).to(t.device),
    lambda t: torch.zeros(3, 4).copy_(t),
    lambda t: torch.tensor([1.0], device=t.device),
    lambda t: t.new_tensor([1.0]),
    lambda t: t.sum().item(),
    lambda t: bool((t > 0).all()),
    lambda t: t.tolist(),
    lambda t: t.nonzero(),
    lambda t: t[t > 0],
]


@pytest.mark.parametrize("number", range(len(WAITS)))
def test_what_makes_the_host_wait_is_found(number: int) -> None:
    with rehearsal() as on_gpu:
        t = torch.empty(3, 4, device=DEVICE)
        with contextlib.suppress(HostWait, RuntimeError):  # meta tensors refuse some by themselves
            WAITS[number](t)
    assert on_gpu.waits and "test_rehearsal.py" in on_gpu.waits[0]


def test_what_does_not_wait_is_let_through() -> None:
    with rehearsal() as on_gpu:
        t = torch.empty(3, 4, device=DEVICE)
        assert t.is_cuda and t.device == DEVICE and t[0].device == DEVICE
        torch.stack([t[0], t[2]]).sum()
        (t * 2 + t.new_full((), 0.5)).softmax(1)
        torch.zeros(4).sum().item()  # on the host alone
    assert not on_gpu.waits
    assert not torch.zeros(1).is_cuda


def test_backward_passes_are_seen_too() -> None:
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, g: Tensor) -> Tensor:
            return g * g.sum().item()

    with rehearsal() as on_gpu, pytest.raises(HostWait):
        x = torch.empty(3, device=DEVICE, requires_grad=True)
        Reads.apply(x).sum().backward()
    assert on_gpu.waits


def test_a_fused_optimiser_wants_lists_laid_out_alike() -> None:
    def step(gradient_format: torch.memory_format) -> None:
        weight = torch.empty(4, 4, 3, 3, device=DEVICE, memory_format=torch.channels_last)
        gradient = torch.empty(4, 4, 3, 3, device=DEVICE, memory_format=gradient_format)
        rate = torch.empty((), device=DEVICE)
        sgd([weight], [gradient], [torch.empty_like(weight)], fused=True, weight_decay=0.1,
            momentum=0.9, lr=rate, dampening=0, nesterov=True, maximize=False)  # fmt: skip

    with rehearsal() as on_gpu:
        step(torch.channels_last)
        assert on_gpu.launches == {"aten::_fused_sgd_": 1} and not on_gpu.waits
        with pytest.raises(RuntimeError, match="a fused optimiser was given"):
            step(torch.contiguous_format)


def test_launches_are_those_of_torch() -> None:
    with rehearsal() as on_gpu:
        x = torch.empty(2, 3, 8, 8, device=DEVICE, requires_grad=True)
        conv = nn.Conv2d(3, 4, 3).to(DEVICE)
        many = [torch.empty(2, device=DEVICE) for _ in range(111)]
        large = [torch.empty(65_536 * 321, device=DEVICE)]
        with on_gpu.part() as views:
            x.view(-1)[3:].detach().reshape(-1)
        with on_gpu.part() as forward:
            out = F.relu(conv(x))  # convolution, bias, relu
        with on_gpu.part() as backward:
            torch.autograd.grad(out, [x, *conv.parameters()], torch.empty_like(out))
        with on_gpu.part() as listed:
            torch._foreach_mul_(many, 2.0)  # one list: 110 tensors a launch
        with on_gpu.part() as blocks:
            torch._foreach_mul_(large, 2.0)  # 321 chunks: 320 blocks a launch
    assert views.launches == 0
    assert forward.launches == 3 and forward.operators == 2
    assert backward.launches == 4 and backward.operators == 2  # threshold; input, kernel, bias
    assert listed.launches == 2 and blocks.launches == 2 and listed.operators == 1


@needs_native
def test_a_gpu_that_is_there_tries_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial reads values, which tensors of a rehearsal do not have."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(_native, "_TRIED", False)
    monkeypatch.setattr(_native, "_try", lambda: pytest.fail("the kernels were tried"))
    with rehearsal():
        assert _native.why_not("cuda") == ""
    assert not _native._TRIED
