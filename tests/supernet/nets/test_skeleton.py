"""Training with convolutions in bfloat16: what takes it, and what stays float32."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cuda_ext import _native
from ops.synchronised import synchronise
from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.nets.skeleton import Skeleton
from supernet.nets.supernet import Supernet
from supernet.search.gains import operator_gains
from tests.supernet.search.test_search import make_search

LOW = torch.bfloat16


class Convolutions(TorchDispatchMode):
    """The dtypes that convolutions take, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if "aten::convolution" in func.name() or "mkldnn_convolution" in func.name():
            self.seen |= {arg.dtype for arg in args[:2]}
        return func(*args, **(kwargs or {}))


def networks() -> list[Skeleton]:
    impls = ["reference", "batched", *(["native"] if _native.available() else [])]
    made: list[Skeleton] = [Supernet(C=8, N=1, impl=impl) for impl in impls]
    return [*made, DerivedNetwork(Genotype.parse("333123"), C=8, N=1)]


def gradients(net: Skeleton, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(2)
    x, y = torch.rand(32, 3, 16, 16, generator=generator), torch.arange(32) % 10
    w_EO = torch.full((6, 5), 0.2, requires_grad=True)
    inputs = [*net.parameters(), *([w_EO] if isinstance(net, Supernet) else [])]
    with net.convolving_in(dtype):
        logits = net(x, w_EO) if isinstance(net, Supernet) else net(x)
        return logits, list(torch.autograd.grad(F.cross_entropy(logits, y), inputs))


@pytest.mark.parametrize("net", networks(), ids=lambda net: getattr(net, "impl", "derived"))
def test_convolutions_alone_take_bfloat16(net: Skeleton) -> None:
    _, expected = gradients(net.train(), torch.float32)
    with Convolutions() as convolutions:
        logits, found = gradients(net, LOW)
    assert convolutions.seen == {LOW}
    assert logits.dtype == torch.float32
    assert {g.dtype for g in found} == {t.dtype for t in net.buffers() if t.is_floating_point()}
    a, b = (torch.cat([g.flatten() for g in gs]) for gs in (expected, found))
    assert 0.95 < F.cosine_similarity(a, b, dim=0) < 1 - 1e-9, "near, and not the same"
    with Convolutions() as convolutions, net.convolving_in(LOW):
        net.eval()(torch.rand(2, 3, 8, 8), *([torch.ones(6, 5)] * isinstance(net, Supernet)))
    assert convolutions.seen == {torch.float32}, "what is measured stays float32"
    net.train()


def test_a_search_trains_in_bfloat16_and_measures_in_float32() -> None:
    search = make_search(train_dtype="bfloat16", robust=False, path_share=0.5)
    with Convolutions() as convolutions:
        search.train_step()
    assert convolutions.seen == {LOW}
    with Convolutions() as convolutions:
        operator_gains(search.net, [search.images.held_out(16)])
    assert convolutions.seen == {torch.float32}
    moments = search.weights.optimiser.state.values()
    state = [*search.net.state_dict().values(), *(t for of in moments for t in of.values())]
    assert {t.dtype for t in state if t.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("net", networks(), ids=lambda net: getattr(net, "impl", "derived"))
def test_processes_that_share_a_batch_train_in_bfloat16_too(net: Skeleton) -> None:
    before = copy.deepcopy(net.state_dict())
    _, expected = gradients(net.train(), LOW)
    after = copy.deepcopy(net.state_dict())
    net.load_state_dict(before)
    synchronise(net, lambda row: row[None])  # a process of its own
    logits, found = gradients(net, LOW)
    assert logits.dtype == torch.float32
    a, b = (torch.cat([g.flatten() for g in gs]) for gs in (expected, found))
    assert F.cosine_similarity(a, b, dim=0) > 0.95
    for name, value in net.state_dict().items():
        assert value.dtype == after[name].dtype
        torch.testing.assert_close(value, after[name], rtol=0.05, atol=0.05)
