"""The mixed cell: the definition, and the batched form against it."""

import copy

import pytest
import torch
from torch import nn

from ops.candidates import OPS, kept_statistics
from ops.mixed import MixedCell, MixedOp, resolve_impl
from ops.space import EDGES, NONE, OP_NAMES, POOL, SKIP


def test_the_order_of_operators_is_alphas_column_order() -> None:
    assert tuple(OPS) == OP_NAMES


def test_a_mixed_edge_is_the_weighted_sum_of_its_operators() -> None:
    edge, x = MixedOp(4), torch.randn(3, 4, 5, 6)
    w = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    expected = sum(w[o] * op(x) for o, op in enumerate(edge.ops))
    torch.testing.assert_close(edge(x, w), expected)


def test_pooling_averages_over_the_pixels_inside_the_image() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    pool = OPS["avg_pool_3x3"](1, False)
    # The corner sees four pixels 0, 1, 3, 4 and not nine.
    assert pool(x)[0, 0, 0, 0] == 2.0
    assert OPS["none"](1, False)(x).abs().max() == 0
    assert torch.equal(OPS["skip_connect"](1, False)(x), x)


def test_a_cell_of_skips_counts_paths() -> None:
    # node 1 = x, node 2 = 2x, node 3 = x + x + 2x.
    cell, x = MixedCell(2), torch.randn(2, 2, 3, 3)
    w_EO = torch.zeros(6, 5)
    w_EO[:, SKIP] = 1
    for impl in ("reference", "batched"):
        torch.testing.assert_close(cell(x, w_EO, impl), 4 * x)


def test_each_row_of_weights_belongs_to_its_edge() -> None:
    cell, x = MixedCell(1), torch.randn(1, 1, 4, 4)
    for edge, (node, source) in enumerate(EDGES):
        w_EO = torch.zeros(6, 5)
        w_EO[:, NONE] = 1
        w_EO[edge] = torch.eye(5)[SKIP]
        out = cell(x, w_EO, "reference")
        # Alone, only the edge from input to output carries anything.
        torch.testing.assert_close(out, x if (node, source) == (3, 0) else torch.zeros_like(x))


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 7), (4, 2, 8, 8)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_batched_form_is_the_reference(shape: tuple[int, ...], channels_last: bool) -> None:
    cell = MixedCell(shape[1]).double()
    other = copy.deepcopy(cell)
    x = torch.randn(shape, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    w_EO = torch.randn(6, 5, dtype=torch.float64).softmax(dim=1)
    results = []
    for one, impl in ((cell, "reference"), (other, "batched")):
        leaves = [x.clone().requires_grad_(), w_EO.clone().requires_grad_(), *one.parameters()]
        out = one(*leaves[:2], impl)
        direction = torch.randn(shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
        results.append((out, *torch.autograd.grad((out * direction).sum(), leaves)))
    assert results[0][2].abs().max() > 1e-3
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    for (name, a), b in zip(cell.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=name)


def test_statistics_can_be_kept_and_recorded() -> None:
    x, w_EO = torch.randn(8, 3, 6, 6), torch.full((6, 5), 0.2)
    recorded = []
    cell = MixedCell(3)
    before = copy.deepcopy(cell.state_dict())
    for impl in ("reference", "batched"):
        with kept_statistics(cell, record=True):
            cell(x, w_EO, impl)
        recorded.append(cell.edges[5].ops[3].bn.batch_statistics)
        for name, value in cell.state_dict().items():
            assert torch.equal(value, before[name]), name
    for a, b in zip(*recorded, strict=True):
        torch.testing.assert_close(a, b)
    y = cell.edges[0].ops[2].conv(x.relu())
    mean, var = cell.edges[0].ops[2].bn.batch_statistics
    torch.testing.assert_close(mean, y.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(var, y.var(dim=(0, 2, 3), correction=0))


def test_searchable_norms_have_neither_scale_nor_shift() -> None:
    norms = [m for m in MixedCell(2).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 12
    assert all(norm.weight is None is norm.bias for norm in norms)


def test_one_cell_is_the_mixture_with_one_hot_weights() -> None:
    x, ops = torch.randn(4, 3, 5, 5, dtype=torch.float64), (3, 2, 1, 4, 0, 3)
    cell = MixedCell(3).double()
    w_E = torch.rand(6, dtype=torch.float64) + 0.5
    one_hot = torch.eye(5, dtype=torch.float64)[list(ops)]
    mixed = cell.forward_mixture(x, one_hot, "reference")
    torch.testing.assert_close(cell.forward_cell(x, ops), mixed)
    mixed = cell.forward_mixture(x, w_E[:, None] * one_hot, "reference")
    torch.testing.assert_close(cell.forward_cell(x, ops, w_E), mixed)


def test_wrong_shapes_and_implementations_are_refused() -> None:
    cell = MixedCell(2)
    with pytest.raises(ValueError, match=r"w_EO has shape \(5, 6\), expected \(6, 5\)"):
        cell(torch.randn(1, 2, 4, 4), torch.ones(5, 6))
    with pytest.raises(ValueError, match="impl 'fast' is unknown; choose one of auto, reference"):
        resolve_impl("fast")


def test_pool_and_skip_weights_get_gradients() -> None:
    cell, x = MixedCell(2), torch.randn(2, 2, 4, 4)
    w_EO = torch.full((6, 5), 0.2, requires_grad=True)
    cell(x, w_EO, "batched").square().sum().backward()
    assert (w_EO.grad[:, [SKIP, POOL]].abs() > 1e-4).all()
    assert (w_EO.grad[:, NONE] == 0).all()
