"""The fused node operators against their references, on the CPU."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from cuda_ext.mixed_op import attack_node, attack_step, training_node
from tests.cuda_ext.cases import LAYOUTS, SHAPES, needs_native, node_inputs, relative_error, tensor

pytestmark = needs_native

Results = dict[str, Tensor]


def run_training_node(inputs: Any, impl: str) -> Results:
    leaves = [t.detach().requires_grad_() for t in (*inputs.v, *inputs.y1, *inputs.y3, inputs.w)]
    S = len(inputs.v)
    v, y1, y3, w = leaves[:S], leaves[S : 2 * S], leaves[2 * S : -1], leaves[-1]
    out, mean, var = training_node(v, y1, y3, w, impl=impl)
    grads = torch.autograd.grad(out, leaves, inputs.g)
    named = {f"gradient {i}": g for i, g in enumerate(grads[:-1])}
    # Column `none` has a zero gradient in both forms; it is looked at on its own.
    assert grads[-1][:, 0].abs().max() == 0
    return {"out": out, "mean": mean, "var": var, "dw": grads[-1][:, 1:], **named}


def run_attack_node(inputs: Any, impl: str) -> Results:
    leaves = [t.detach().requires_grad_() for t in (*inputs.v, *inputs.y3)]
    S = len(inputs.v)
    out, relu = attack_node(leaves[:S], leaves[S:], inputs.w2, inputs.bias, impl=impl)
    grads = torch.autograd.grad([out, relu], leaves, [inputs.g, 2 * inputs.g])
    return {"out": out, "relu": relu, **{f"gradient {i}": g for i, g in enumerate(grads)}}


NODES = [run_training_node, run_attack_node]


def assert_close(actual: Results, expected: Results, tolerance: float) -> None:
    for name in expected:
        assert relative_error(actual[name], expected[name]) < tolerance, name


@pytest.mark.parametrize("run", NODES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] * s[2] * s[3] > 2])
def test_values_and_gradients_equal_the_reference(
    run: Callable[..., Results], shape: tuple[int, ...], layout: str
) -> None:
    for num_sources in (1, 2, 3):
        inputs = node_inputs(shape, num_sources, layout, dtype=torch.float64)
        assert_close(run(inputs, "native"), run(inputs, "reference"), 1e-10)


@pytest.mark.parametrize("run", NODES)
@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
def test_float32_is_exact_to_rounding(run: Callable[..., Results], layout: str) -> None:
    inputs = node_inputs((8, 16, 16, 16), 3, layout)
    assert_close(run(inputs, "native"), run(inputs, "reference"), 1e-5)


@pytest.mark.parametrize("run", NODES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_worse_than_eager(
    run: Callable[..., Results], dtype: torch.dtype
) -> None:
    inputs = node_inputs((4, 16, 9, 9), 3, dtype=dtype)
    inputs.w, inputs.w2, inputs.bias = (t.to(dtype) for t in (inputs.w, inputs.w2, inputs.bias))
    exact_inputs = type(inputs)(
        **{
            name: [t.float() for t in value] if isinstance(value, list) else value.float()
            for name, value in vars(inputs).items()
        }
    )
    exact, eager, native = (
        run(exact_inputs, "reference"), run(inputs, "reference"), run(inputs, "native"),
    )  # fmt: skip
    for name in exact:
        error = relative_error(native[name], exact[name])
        # One rounding of the result is all that is unavoidable.
        assert error <= max(relative_error(eager[name], exact[name]), torch.finfo(dtype).eps), name


def test_statistics_survive_a_mean_far_from_zero() -> None:
    y = (tensor((4, 16, 16, 16)) + 1e4).contiguous(memory_format=torch.channels_last)
    inputs = node_inputs((4, 16, 16, 16), 1)
    _, mean, var = training_node(inputs.v, [y], [y], inputs.w, impl="native")
    exact = y.double()
    assert relative_error(mean[0, 0], exact.mean(dim=(0, 2, 3))) < 1e-6
    assert relative_error(var[0, 0], exact.var(dim=(0, 2, 3), correction=0)) < 1e-5


def test_training_node_has_its_closed_form() -> None:
    """With y = +-1 in equal numbers, norm(y) = y / sqrt(1 + eps); a constant source pools to
    itself."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8).view(1, 1, 4, 4)
    v = torch.full((1, 1, 4, 4), 3.0, dtype=torch.float64)
    w = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5]], dtype=torch.float64)
    out, mean, var = training_node([v], [signs], [-signs], w, eps=0.25, impl="native")
    assert torch.allclose(out, (0.2 + 0.5) * v + (0.3 - 0.4) * signs / 1.25**0.5, atol=1e-12)
    assert mean.abs().max() < 1e-15 and torch.allclose(var, torch.ones_like(var))


def test_zero_weights_leave_their_terms_out() -> None:
    inputs = node_inputs((2, 16, 5, 5), 2, dtype=torch.float64)
    inputs.w.zero_()
    inputs.w[1, 1] = 1.0  # one skip connection
    out, _, _ = training_node(inputs.v, inputs.y1, inputs.y3, inputs.w, impl="native")
    assert torch.equal(out, inputs.v[1])


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    inputs = node_inputs((6, 16, 40, 8), 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run_training_node(inputs, "native")
        torch.set_num_threads(3)
        three = run_training_node(inputs, "native")
    finally:
        torch.set_num_threads(before)
    for name in one:
        assert torch.equal(one[name], three[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
def test_gradcheck(layout: str) -> None:
    inputs = node_inputs((2, 3, 3, 4), 2, layout, dtype=torch.float64)
    leaves = [t.requires_grad_() for t in (*inputs.v, *inputs.y1, *inputs.y3, inputs.w)]
    assert torch.autograd.gradcheck(
        lambda *t: training_node(t[:2], t[2:4], t[4:6], t[6], impl="native")[0], leaves
    )
    attack_leaves = leaves[:2] + leaves[4:6]
    assert torch.autograd.gradcheck(
        lambda *t: attack_node(t[:2], t[2:], inputs.w2, inputs.bias, impl="native"), attack_leaves
    )


def test_second_derivatives_are_refused() -> None:
    inputs = node_inputs((1, 2, 3, 3), 1, dtype=torch.float64)
    v = inputs.v[0].requires_grad_()
    out, _, _ = training_node([v], inputs.y1, inputs.y3, inputs.w.requires_grad_(), impl="native")
    (first,) = torch.autograd.grad(out.square().sum(), v, create_graph=True)
    with pytest.raises(RuntimeError, match="training_node is once differentiable"):
        torch.autograd.grad(first.sum(), v)
    out, _ = attack_node([v], inputs.y3, inputs.w2, inputs.bias, impl="native")
    (first,) = torch.autograd.grad(out.square().sum(), v, create_graph=True)
    with pytest.raises(RuntimeError, match="attack_node is once differentiable"):
        torch.autograd.grad(first.sum(), v)


def test_only_needed_gradients_are_computed() -> None:
    inputs = node_inputs((1, 4, 5, 5), 2)
    w = inputs.w.requires_grad_()
    out, _, _ = training_node(inputs.v, inputs.y1, inputs.y3, w, impl="native")
    out.sum().backward()
    assert w.grad is not None and all(t.grad is None for t in inputs.v)


@pytest.mark.slow
def test_opcheck() -> None:
    inputs = node_inputs((2, 3, 5, 4), 2)
    v, y1, y3 = ([t.requires_grad_() for t in ts] for ts in (inputs.v, inputs.y1, inputs.y3))
    ops = torch.ops.robust_supernet
    torch.library.opcheck(ops.training_node, (v, y1, y3, inputs.w.requires_grad_(), 1e-5))
    torch.library.opcheck(ops.attack_node, (v, y3, inputs.w2, inputs.bias, True))
    torch.library.opcheck(ops.attack_node, (v, y3, inputs.w2, inputs.bias, False))
    plain = [[t.detach() for t in ts] for ts in (v, y1, y3)]
    g, w = inputs.g, inputs.w.detach()
    torch.library.opcheck(ops.channel_moments, (plain[1],))
    mean, var = (t.view(1, 2, 3).repeat(2, 1, 1) for t in ops.channel_moments(plain[1]))
    torch.library.opcheck(ops.training_node_write, (*plain, w, mean, var, 1e-5, True))
    torch.library.opcheck(ops.training_node_sums, (g, *plain, w, mean, var, 1e-5))
    torch.library.opcheck(ops.training_node_backward, (g, *plain, w, mean, var, 1e-5, True, True))
    out = tensor((2, 3, 5, 4))
    torch.library.opcheck(ops.attack_node_backward, (g, g, out, inputs.w2, True))
    torch.library.opcheck(ops.norm_backward, (g, plain[0], torch.rand(2, 3, 3), plain[1]))
    torch.library.opcheck(ops.node_backward, (plain[0], inputs.w2, plain[1], out, [out.clone()]))
    torch.library.opcheck(ops.attack_step, (out, g, g.clone(), 0.1, 0.2))


def test_on_cuda_every_output_is_channels_last() -> None:
    """What torch.compile plans with, known without a GPU."""
    with FakeTensorMode():
        v = torch.empty(2, 8, 5, 3, device="cuda")
        w, bias = torch.empty(1, 2, device="cuda"), torch.empty(8, device="cuda")
        out, relu = torch.ops.robust_supernet.attack_node([v], [v], w, bias, True)
    for t in (out, relu):
        assert t.is_contiguous(memory_format=torch.channels_last) and not v.is_contiguous(
            memory_format=torch.channels_last
        )


# attack_step ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("eps", [8 / 255, None])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_attack_step_equals_the_reference(
    dtype: torch.dtype, eps: float | None, layout: str
) -> None:
    shape = (2, 3, 7, 5)
    x = tensor(shape, layout, dtype=torch.float64).sigmoid()
    start = (x + 0.05 * torch.randn_like(x)).clamp(0, 1)
    grad = tensor(shape, layout, dtype=torch.float64)
    grad.view_as(grad)[0, 0, 0] = 0  # sign(0) = 0: pixels without a gradient stay
    results = {}
    for impl, kind in (("reference", torch.float64), ("reference", dtype), ("native", dtype)):
        x_adv = start.to(kind)
        given = [t.to(dtype).to(kind) for t in (start, grad, x)]
        x_adv = given[0].clone()
        assert attack_step(x_adv, *given[1:], eps=eps, step_size=2 / 255, impl=impl) is x_adv
        results[impl, kind] = x_adv
    exact = results["reference", torch.float64]
    error = (results["native", dtype].double() - exact).abs().max()
    eager = (results["reference", dtype].double() - exact).abs().max()
    assert error <= max(eager.item(), torch.finfo(dtype).eps)
    assert (results["native", dtype] - start.to(dtype)).abs().max() > 1e-3


def test_attack_step_stays_in_the_ball_and_in_range() -> None:
    x = torch.tensor([0.0, 0.5, 1.0, 0.5]).view(1, 1, 1, 4)
    x_adv, grad = x.clone(), torch.tensor([-1.0, 2.0, 3.0, 0.0]).view(1, 1, 1, 4)
    attack_step(x_adv, grad, x, eps=0.1, step_size=0.3, impl="native")
    assert torch.allclose(x_adv.flatten(), torch.tensor([0.0, 0.6, 1.0, 0.5]))


def test_attack_step_writes_through_a_strided_view() -> None:
    whole = torch.full((1, 2, 4, 4), 0.5)
    view = whole[..., ::2]
    attack_step(view, torch.ones_like(view), view.clone(), eps=None, step_size=0.25, impl="native")
    assert torch.equal(whole[..., ::2], torch.full((1, 2, 4, 2), 0.75))
    assert torch.equal(whole[..., 1::2], torch.full((1, 2, 4, 2), 0.5))


def test_attack_step_marks_its_tensor_as_changed() -> None:
    x = torch.rand(1, 1, 2, 2, requires_grad=True)
    y = x.clone()
    squared = (y * y).sum()
    attack_step(y, torch.ones_like(x), x.detach(), eps=None, step_size=0.1, impl="native")
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.backward()


# Bad input ------------------------------------------------------------------------------------


def change(name: str, index: int | None, replace: Callable[[Tensor], Tensor]) -> Callable:
    def apply(inputs: Any) -> None:
        if index is None:
            setattr(inputs, name, replace(getattr(inputs, name)))
        else:
            getattr(inputs, name)[index] = replace(getattr(inputs, name)[index])

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change("y1", 1, lambda t: t[:, :2]), r"y1\[1\] has shape \(2, 2, 5, 5\), expected \(2, "),
        (change("v", 1, lambda t: t.double()), r"v\[1\] has dtype Double, expected Float as v"),
        (change("v", 0, lambda t: t.long()), r"v\[0\] has dtype Long, expected float32, float64"),
        (change("y3", 0, lambda t: t.contiguous()), r"mixed layouts: v\[0\] is channels-last and "
         r"y3\[0\] is NCHW, expected one layout"),
        (change("w", None, lambda t: t[:, :4]), r"w has shape \(2, 4\), expected \(2, 5\)"),
        (change("w", None, lambda t: t.double()), r"w has dtype Double, expected Float"),
        (change("v", 0, lambda t: t[0]), r"v\[0\] has shape \(3, 5, 5\), expected \(B, C, H, W\)"),
        (lambda i: i.y1.pop(), r"y1 has 1 tensors, expected 2 as v has"),
        (lambda i: [i.v.append(i.v[0]) for _ in range(2)], r"v has 4 tensors, expected 1 to 3"),
        (lambda i: setattr(i, "v", [t[:0] for t in i.v]), r"v\[0\] has shape \(0, 3, 5, 5\), "
         r"expected at least one image"),
    ],
)  # fmt: skip
def test_bad_input_is_named(spoil: Callable[[Any], None], message: str) -> None:
    inputs = node_inputs((2, 3, 5, 5), 2)
    spoil(inputs)
    with pytest.raises(ValueError, match=message):
        training_node(inputs.v, inputs.y1, inputs.y3, inputs.w, impl="native")


def change_device(name: str, index: int | None = None) -> Callable[[Any], None]:
    return change(name, index, lambda t: t.to("meta"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change_device("y3", 1), r"y3\[1\] is on meta, expected cpu as v\[0\] is"),
        (change_device("v", 0), r"v\[1\] is on cpu, expected meta as v\[0\] is"),
        (change_device("w"), r"w is on meta, expected cpu as v\[0\] is"),
    ],
)
def test_another_device_is_named_before_anything_is_read(
    spoil: Callable[[Any], None], message: str
) -> None:
    """`meta` is the other device; the CPU's form is asked for, as a GPU's would be for CUDA."""
    inputs = node_inputs((2, 3, 5, 5), 2)
    spoil(inputs)
    cpu = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    with pytest.raises(ValueError, match=message):
        torch.ops.robust_supernet.training_node.default.redispatch(
            cpu, inputs.v, inputs.y1, inputs.y3, inputs.w, 1e-5
        )


def test_every_operator_checks_devices_first() -> None:
    """The shapes are wrong too, but a shape may be looked at on any device."""
    cpu = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    a, m = torch.rand(1, 2, 3, 3), torch.rand(1, 2, 2, 2, device="meta")
    calls: dict[str, tuple[str, tuple[Any, ...]]] = {
        "channel_moments": (r"y\[1\]", ([a, m],)),
        "training_node_write": ("var", ([a], [a], [a], a, a, m, 1e-5, True)),
        "training_node_sums": ("g", (m, [a], [a], [a], a, a, a, 1e-5)),
        "training_node_backward": ("mean", (a, [a], [a], [a], a, m, a, 1e-5, True, True)),
        "norm_backward": (r"dy\[0\]", (a, [a], a, [m])),
        "attack_node": ("bias", ([a], [a], a, m, True)),
        "attack_node_backward": ("g_relu", (a, m, a, a, True)),
        "node_backward": ("mask", ([a], a, [a], m, [a])),
        "attack_step": ("x", (a, a, m, 0.1, 0.1)),
    }
    for name, (spoilt, arguments) in calls.items():
        operator = getattr(torch.ops.robust_supernet, name).default
        with pytest.raises(ValueError, match=f"^{spoilt} is on meta, expected cpu as "):
            operator.redispatch(cpu, *arguments)


def test_no_sources_are_refused() -> None:
    with pytest.raises(ValueError, match="v has 0 tensors, expected 1 to 3"):
        training_node([], [], [], torch.rand(0, 5), impl="native")


def test_attack_node_takes_constant_weights_only() -> None:
    inputs = node_inputs((1, 2, 3, 3), 1)
    for impl in ("native", "reference"):
        with pytest.raises(ValueError, match="w requires a gradient, expected a constant"):
            attack_node(inputs.v, inputs.y3, inputs.w2.requires_grad_(), inputs.bias, impl=impl)


def test_attack_step_names_what_is_wrong() -> None:
    x = torch.rand(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"grad has shape \(1, 3, 4\), expected \(1, 3, 4, 4\)"):
        attack_step(x.clone(), x[..., 0], x, eps=0.1, step_size=0.1, impl="native")
    with pytest.raises(ValueError, match="x has dtype Double, expected Float as x_adv has"):
        attack_step(x.clone(), x, x.double(), eps=0.1, step_size=0.1, impl="native")
