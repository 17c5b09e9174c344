"""Kernels in one tensor: names, gradients and statistics are those of the single operators."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import OPS
from ops.mixed import MixedCell
from ops.space import NUM_EDGES, OP_NAMES
from ops.stacks import PLACE, Stack
from supernet.nets.supernet import Supernet

CELL = (3, 1, 2, 3, 0, 4)


def logits_gradients(net: Supernet, single: bool) -> None:
    x, w = torch.rand(4, 3, 8, 8), torch.rand(6, 5)
    out = net.forward_cell(x, CELL) if single else net.forward_mixture(x, w)
    net.forget_gradients()
    F.cross_entropy(out, torch.arange(4)).backward()


def test_a_cell_starts_as_its_operators_drawn_one_by_one_would() -> None:
    torch.manual_seed(3)
    drawn = [OPS[name](4, False) for _ in range(NUM_EDGES) for name in OP_NAMES]
    torch.manual_seed(3)
    cell = MixedCell(4)
    convs = [op.conv.weight for op in drawn if hasattr(op, "conv")]
    mine = [edge.ops[o].conv.weight for edge in cell.edges for o in (2, 3)]
    assert all(torch.equal(a, b) for a, b in zip(convs, mine, strict=True))


def test_the_names_of_a_state_are_those_of_the_operators() -> None:
    names = list(MixedCell(2).state_dict())
    expected = [
        f"edges.{e}.ops.{o}.{name}"
        for e in range(NUM_EDGES)
        for o in (2, 3)
        for name in ("conv.weight", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked")
    ]
    assert names == expected
    net = Supernet(C=2, N=2)
    assert not [name for name in net.state_dict() if "stack" in name]
    assert len(list(net.parameters())) == 27


def test_a_state_is_loaded_into_the_stack_and_what_does_not_fit_is_named() -> None:
    net, other = Supernet(C=2, N=2), Supernet(C=2, N=2)
    state = net.state_dict()
    name = "cells.3.edges.4.ops.3.conv.weight"
    other.load_state_dict(copy.deepcopy(state))
    assert torch.equal(other.stacks[1].conv3, net.stacks[1].conv3)
    assert torch.equal(state[name], net.stacks[1].conv3[net.stacks[1].rows(1, PLACE[4])])
    for change, match in (
        (lambda s: s.pop(name), f"Missing key.*{name}"),
        (lambda s: s.update({name: torch.zeros(1)}), f"{name} has shape"),
        (lambda s: s.update({name + "s": torch.zeros(1)}), f"Unexpected key.*{name}s"),
    ):
        broken = dict(state)
        change(broken)
        with pytest.raises(RuntimeError, match=match):
            other.load_state_dict(broken)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: m.double(), lambda m: m.to("cpu")])
def test_norms_stay_views_of_the_stack(how: object) -> None:
    net = how(Supernet(C=2, N=1).to(memory_format=torch.channels_last))  # type: ignore[operator]
    stack, norm = net.stacks[2], net.cells[2].edges[5].ops[3].bn
    stack.running_mean.fill_(7)
    stack.num_batches_tracked.add_(1)
    assert (norm.running_mean == 7).all() and norm.num_batches_tracked == 1
    assert norm.running_mean.is_contiguous() and isinstance(norm, nn.BatchNorm2d)


def test_a_gradient_is_that_of_each_kernel_and_the_rest_is_not_reached() -> None:
    net = Supernet(C=2, N=1, impl="batched").train()
    for single in (False, True):
        logits_gradients(net, single)
        reached = [(p, rows) for p, rows in net.reached(by_edge=True) if rows != slice(None)]
        assert len(reached) == 3 * (3 if single else 12)
        assert all(p.grad[rows].abs().max() > 0 for p, rows in reached)
        total = sum(float(p.grad[rows].abs().sum()) for p, rows in reached)
        whole = sum(float(k.grad.abs().sum()) for s in net.stacks for k in (s.conv1, s.conv3))
        assert total == pytest.approx(whole)
        assert all(stack.complete != single for stack in net.stacks)
        assert len(net.reached(by_edge=False)) == (30 if single else 27)


def test_pieces_have_the_gradients_of_a_split() -> None:
    stack = Stack(2, 2)
    nn.init.normal_(stack.conv3)
    nn.init.normal_(stack.conv1)

    def gradient(pieces: list[Tensor]) -> Tensor:
        loss = sum((k * (n + 1)).square().sum() for n, k in enumerate(pieces) if n % 2 == 0)
        return torch.autograd.grad(loss, stack.conv3)[0]

    mine = [k for cell in stack.of_places() for k in cell.size3]
    expected = gradient(list(stack.conv3.split(2)))
    assert torch.equal(gradient(mine), expected) and expected.abs().max() > 0
    assert stack.touched[1] == {0, 2, 4, 6, 8, 10} and not stack.touched[0]


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["batched", "reference"])
def test_a_compiled_pass_counts_as_one_that_reached_every_edge(impl: str) -> None:
    cell, x, w = MixedCell(4).train(), torch.rand(2, 4, 5, 5), torch.rand(6, 5)
    assert not cell.stack.complete and not cell.stack.reached(by_edge=True)
    torch.compile(cell, backend="eager", fullgraph=True)(x, w, impl).sum().backward()
    assert cell.stack.complete
    assert len(cell.stack.reached(by_edge=True)) == 2 * NUM_EDGES
    gradient = cell.stack.conv3.grad
    assert gradient is not None
    expected = gradient.clone()
    cell.stack.forget()
    cell(x, w, impl).sum().backward()
    torch.testing.assert_close(cell.stack.conv3.grad, expected)
