"""The whole-cell operators against the cells they replace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cuda_ext import cell_parts, mixed_cell
from cuda_ext.common import arithmetic_type
from cuda_ext.mixed_cell import attack_cell, training_cell
from ops import space
from ops.fold import fold_mixture
from ops.mixed import MixedCell
from tests.cuda_ext.cases import needs_native, relative_error, tensor

pytestmark = needs_native


def stacks(cell: MixedCell, op: int) -> list[Tensor]:
    return [
        torch.cat([cell.edges[e].ops[op].conv.weight for e in edges])
        for edges in cell_parts.OUTGOING
    ]


def test_the_graph_is_that_of_the_search_space() -> None:
    assert tuple(zip(cell_parts.TARGET, cell_parts.SOURCE, strict=True)) == space.EDGES
    assert tuple(tuple(edges) for edges in space.OUTGOING[:3]) == cell_parts.OUTGOING
    assert tuple(tuple(edges) for edges in space.INCOMING[1:]) == cell_parts.INCOMING[1:]
    for edge, source in enumerate(cell_parts.SOURCE):
        assert cell_parts.OUTGOING[source][cell_parts.PLACE[edge]] == edge
    for name in ("SKIP", "CONV1", "CONV3", "POOL"):
        from cuda_ext import mixed_op

        assert getattr(mixed_op, name) == getattr(space, name)


@pytest.mark.parametrize("layout", ["channels_last", "nchw", "crop"])
@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (3, 16, 5, 7), (1, 1, 3, 3)])
def test_training_cell_equals_the_modules(shape: tuple[int, ...], layout: str) -> None:
    cell = MixedCell(shape[1]).double().train()
    x = tensor(shape, layout, dtype=torch.float64).requires_grad_()
    w = torch.rand(6, 5, dtype=torch.float64, requires_grad=True)
    g = torch.randn(shape, dtype=torch.float64)
    leaves = [x, w, *cell.parameters()]
    results = []
    for impl in ("reference", "native"):
        out = cell(x, w, impl)
        results.append([out, *torch.autograd.grad(out, leaves, g)])
    for expected, actual in zip(*results, strict=True):
        if expected.abs().max() > 1e-9:  # with one channel some gradients vanish
            assert relative_error(actual, expected) < 1e-10
        else:
            assert actual.abs().max() < 1e-9


def test_running_statistics_are_those_of_the_modules() -> None:
    cells = [MixedCell(4).double().train() for _ in range(2)]
    cells[1].load_state_dict(cells[0].state_dict())
    x, w = torch.randn(3, 4, 6, 6, dtype=torch.float64), torch.rand(6, 5, dtype=torch.float64)
    for cell, impl in zip(cells, ("reference", "native"), strict=True):
        cell(x, w, impl)
    for name, expected in cells[0].state_dict().items():
        actual = cells[1].state_dict()[name]
        assert torch.allclose(actual.double(), expected.double(), rtol=1e-10), name
    assert cells[0].edges[5].ops[3].bn.running_mean.abs().max() > 1e-3


@pytest.mark.parametrize("frozen", ["nothing", "kernels", "x", "weights", "kernels and x"])
def test_training_cell_computes_what_is_needed(frozen: str) -> None:
    cell = MixedCell(3).double().train()
    x = tensor((2, 3, 5, 5), dtype=torch.float64).requires_grad_("x" not in frozen)
    w = torch.rand(6, 5, dtype=torch.float64, requires_grad=frozen != "weights")
    cell.requires_grad_("kernels" not in frozen)
    leaves = [t for t in (x, w, *cell.parameters()) if t.requires_grad]
    expected = torch.autograd.grad(cell(x, w, "reference").square().sum(), leaves)
    actual = torch.autograd.grad(cell(x, w, "native").square().sum(), leaves)
    for a, e in zip(actual, expected, strict=True):
        assert relative_error(a, e) < 1e-10


@pytest.mark.slow
def test_gradcheck_of_both_cells() -> None:
    cell = MixedCell(2).double().train()
    x = tensor((2, 2, 3, 3), dtype=torch.float64).requires_grad_()
    w = torch.rand(6, 5, dtype=torch.float64, requires_grad=True)
    kernels = [k.detach().requires_grad_() for op in (3, 2) for k in stacks(cell, op)]
    assert torch.autograd.gradcheck(
        lambda x, w, *k: training_cell(x, w, k[:3], k[3:], 1e-5)[0], (x, w, *kernels)
    )
    bias = torch.randn(3, 2, dtype=torch.float64)
    constant = [k.detach() for k in kernels[:3]]
    assert torch.autograd.gradcheck(
        lambda x: attack_cell(x, x.detach().relu(), w.detach()[:, :2], constant, bias)[0], (x,)
    )


@pytest.mark.parametrize("layout", ["channels_last", "nchw", "crop"])
@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (3, 16, 5, 7), (1, 1, 3, 3)])
def test_attack_cell_equals_the_modules_in_eval_mode(shape: tuple[int, ...], layout: str) -> None:
    cell = MixedCell(shape[1]).double().train()
    w = torch.rand(6, 5, dtype=torch.float64)
    cell(torch.randn(4, *shape[1:], dtype=torch.float64), w)  # leaves running statistics
    cell.eval()
    x = tensor(shape, layout, dtype=torch.float64).requires_grad_()
    g = torch.randn(shape, dtype=torch.float64)
    expected = cell(x, w, "reference")
    folded = fold_mixture(cell, w, impl="native")
    out, relu = folded(x, x.relu())
    assert relative_error(out, expected) < 1e-10
    assert torch.equal(relu, out.relu()) and not relu.requires_grad
    (expected_dx,) = torch.autograd.grad(expected, x, g)
    (dx,) = torch.autograd.grad(out, x, g)
    assert relative_error(dx, expected_dx) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_attack_goes_backwards_alike_by_edge_and_by_source(dtype: torch.dtype) -> None:
    """On a CPU it goes edge by edge, on a GPU the gradients of several edges lie in a stack."""
    layout = torch.channels_last
    g, *relus = (torch.randn(2, 4, 7, 5, dtype=dtype).to(memory_format=layout) for _ in range(4))
    weights = cell_parts.by_source(torch.rand(6, 2, dtype=arithmetic_type(dtype)))
    kernels = [torch.randn(n * 4, 4, 3, 3, dtype=dtype) for n in (3, 2, 1)]
    one, other = (
        form(g, relus, weights, kernels)
        for form in (mixed_cell._attack_backward_by_edge, mixed_cell._attack_backward_stacked)
    )
    assert other.abs().max() > 1
    assert relative_error(one, other) < (1e-12 if dtype == torch.float64 else 0.05)


def test_second_derivative_of_the_training_cell_is_refused() -> None:
    cell = MixedCell(2).train()
    x = torch.randn(2, 2, 4, 4, requires_grad=True)
    out = cell(x, torch.rand(6, 5), "native")
    (dx,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="training_cell is once differentiable"):
        torch.autograd.grad(dx.sum(), x)


@pytest.mark.slow
def test_opcheck() -> None:
    ops = torch.ops.robust_supernet
    cell = MixedCell(3)
    x = tensor((2, 3, 4, 5)).requires_grad_()
    w = torch.rand(6, 5, requires_grad=True)
    kernels3, kernels1 = ([k.detach() for k in stacks(cell, op)] for op in (3, 2))
    torch.library.opcheck(ops.training_cell, (x, w, kernels3, kernels1, 1e-5))
    plain = x.detach()
    args = (plain, plain.relu(), torch.rand(6, 2), kernels3, torch.rand(3, 3))
    torch.library.opcheck(ops.attack_cell, (x, *args[1:]))
    _, *relus = ops.attack_cell(*args)[1:]
    torch.library.opcheck(
        ops.attack_cell_backward, (plain, [plain.relu(), *relus], args[2], kernels3)
    )


def test_bad_input_is_named() -> None:
    cell = MixedCell(3)
    kernels3, kernels1 = stacks(cell, 3), stacks(cell, 2)
    x, w = torch.rand(1, 3, 4, 4), torch.rand(6, 5)
    with pytest.raises(ValueError, match=r"kernels3\[1\] has shape \(9, 3, 3, 3\), expected \(6,"):
        training_cell(x, w, [kernels3[0], kernels3[0], kernels3[2]], kernels1, 1e-5)
    with pytest.raises(ValueError, match="kernels1 has 2 stacks, expected 3"):
        training_cell(x, w, kernels3, kernels1[:2], 1e-5)
    with pytest.raises(ValueError, match=r"x has shape \(3, 4, 4\), expected \(B, C, H, W\)"):
        training_cell(x[0], w, kernels3, kernels1, 1e-5)
    with pytest.raises(ValueError, match="r requires a gradient, expected a constant"):
        r = x.clone().requires_grad_()
        attack_cell(x, r, w[:, :2], [k.detach() for k in kernels3], torch.rand(3, 3))


def spoil(name: str, replace: Callable[[Tensor], Tensor]) -> tuple[list[Any], list[Any]]:
    """Arguments of training_cell and attack_cell with `name` replaced (None: not its argument)."""
    cell = MixedCell(3)
    given: dict[str, Any] = {
        "x": torch.rand(1, 3, 4, 4), "r": torch.rand(1, 3, 4, 4), "w_EO": torch.rand(6, 5),
        "w": torch.rand(6, 2), "bias": torch.rand(3, 3),
        **{f"kernels{k}": [t.detach() for t in stacks(cell, op)] for k, op in ((3, 3), (1, 2))},
    }  # fmt: skip
    if name.startswith("kernels"):
        given[name][1] = replace(given[name][1])
    else:
        given[name] = replace(given[name])
    return (
        [*(given[n] for n in ("x", "w_EO", "kernels3", "kernels1")), 1e-5],
        [given[n] for n in ("x", "r", "w", "kernels3", "bias")],
    )


@pytest.mark.parametrize(
    ("cell", "name", "replace", "message"),
    [
        (0, "w_EO", lambda t: t[:5], r"w_EO has shape \(5, 5\), expected \(6, 5\)"),
        (0, "w_EO", lambda t: t.double(), "w_EO has dtype float64, expected float32$"),
        (0, "w_EO", lambda t: t.to("meta"), "w_EO is on meta, expected cpu as x is"),
        (0, "kernels1", lambda t: t.double(), r"kernels1\[1\] has dtype float64, expected float32"),
        (0, "kernels3", lambda t: t.to("meta"), r"kernels3\[1\] is on meta, expected cpu as x is"),
        (1, "r", lambda t: t[..., :3], r"r has shape \(1, 3, 4, 3\), expected \(1, 3, 4, 4\)"),
        (1, "r", lambda t: t.double(), "r has dtype float64, expected float32 as x has"),
        (1, "r", lambda t: t.to("meta"), "r is on meta, expected cpu as x is"),
        (1, "w", lambda t: t[:, :1], r"w has shape \(6, 1\), expected \(6, 2\)"),
        (1, "w", lambda t: t.to("meta"), "w is on meta, expected cpu as x is"),
        (1, "bias", lambda t: t[:2], r"bias has shape \(2, 3\), expected \(3, 3\)"),
        (1, "bias", lambda t: t.half(), "bias has dtype float16, expected float32$"),
        (1, "kernels3", lambda t: t.bfloat16(), r"kernels\[1\] has dtype bfloat16, expected flo"),
    ],
)
def test_shape_dtype_and_device_of_every_tensor_are_checked(
    cell: int, name: str, replace: Callable[[Tensor], Tensor], message: str
) -> None:
    arguments = spoil(name, replace)[cell]
    with pytest.raises(ValueError, match=message):
        (training_cell, attack_cell)[cell](*arguments)


def test_weights_of_a_cell_in_half_precision_may_be_of_either_type() -> None:
    _, (x, r, w, kernels, bias) = spoil("x", lambda t: t)
    low = [k.bfloat16() for k in kernels]
    for values in (w, w.bfloat16()):
        out, _ = attack_cell(x.bfloat16(), r.bfloat16(), values, low, bias)
        assert out.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="w has dtype float16, expected bfloat16 or float32"):
        attack_cell(x.bfloat16(), r.bfloat16(), w.half(), low, bias)


def test_autocast_does_not_reach_inside() -> None:
    cell = MixedCell(4).train()
    x, w = torch.randn(2, 4, 5, 5), torch.rand(6, 5)
    expected = cell(x, w, "native")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cell(x, w, "native"), expected)


@pytest.mark.slow
def test_compile_has_no_graph_break_inside_a_cell() -> None:
    cell = MixedCell(4).train()
    x, w = torch.randn(2, 4, 5, 5, requires_grad=True), torch.rand(6, 5, requires_grad=True)
    explained = torch._dynamo.explain(cell)(x, w, "native")
    assert explained.graph_break_count == 0 and explained.graph_count == 1
    compiled = torch.compile(cell, fullgraph=True, backend="aot_eager")
    expected, actual = cell(x, w, "native"), compiled(x, w, "native")
    assert torch.allclose(actual, expected, atol=1e-6)
    for a, e in zip(
        torch.autograd.grad(actual.square().sum(), (x, w)),
        torch.autograd.grad(expected.square().sum(), (x, w)),
        strict=True,
    ):
        assert relative_error(a, e) < 1e-5
