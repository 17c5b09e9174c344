"""Shared by the attacks: the input gradient, random starts, and what a call may bring."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real

import torch
from torch import Tensor

from ops.graphs import ATTACK_LOOPS
from ops.step import linf_step
from supernet.attacks.frozen import frozen
from supernet.attacks.losses import LOSSES

Model = Callable[[Tensor], Tensor]


def input_gradient(model: Model, x: Tensor, y: Tensor, loss: str) -> Tensor:
    """grad_x sum_b loss(model(x_b), y_b), in x's shape, dtype and memory format.

    Works under `torch.no_grad`. Nothing but the path to x is differentiated, and no `.grad` is
    written anywhere.
    Raises: ValueError for labels that the model has no class for (where they are on the CPU: on
            a GPU the host would wait), and for a model without logits or gradient.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        logits = logits_of(model, x)
        if not logits.requires_grad:
            raise ValueError(
                "the model's logits have no gradient to the images; give a model that can be"
                " differentiated, without no_grad and detach inside"
            )
        if y.device.type == "cpu":
            check_labels(y, logits.shape[1])
        (grad,) = torch.autograd.grad(LOSSES[loss](logits, y), x)
    return grad


def signed_steps(
    model: Model,
    x_adv: Tensor,
    x: Tensor,
    y: Tensor,
    steps: int,
    *,
    eps: float | None,
    step_size: float,
    loss: str,
) -> Tensor:
    """x_adv after `steps` signed gradient steps, the loop of every attack here; see `linf_step`.

    x_adv itself may be changed. On a GPU all steps are one CUDA graph (`ops.graphs`).
    """

    def step(model: Model, x_adv: Tensor, x: Tensor, y: Tensor) -> None:
        grad = input_gradient(model, x_adv, y, loss)
        linf_step(x_adv, grad, x, eps=eps, step_size=step_size)

    key = (eps, step_size, loss)
    return ATTACK_LOOPS.run(step, steps, model, x_adv, x, y, key=key)


def logits_of(model: Model, x: Tensor) -> Tensor:
    """model(x), (B, K). Raises ValueError for anything else than one row of logits per image."""
    logits: object = model(x)
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"the model returns {type(logits).__name__} and not a tensor of logits; put the"
            " model into evaluation mode and give a function that returns its logits alone, such"
            " as lambda x: model(x)[0]"
        )
    if logits.dim() != 2 or len(logits) != len(x) or logits.shape[1] < 2:
        raise ValueError(
            f"the model returns a tensor of shape {tuple(logits.shape)} for {len(x)} images;"
            " attacks need one row of logits per image, with a column for each of at least 2"
            " classes"
        )
    return logits


def draw(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """U(0, 1) in x's shape, of which an attack makes its start; the same for every memory format.

    Drawn on the generator's device (on x's where there is none): the same seed gives the same
    numbers on that device, whatever else runs.
    """
    device = x.device if generator is None else generator.device
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return torch.rand(x.shape, generator=generator, device=device, dtype=dtype)


def uniform_noise(
    x: Tensor, radius: float, generator: torch.Generator | None, drawn: Tensor | None = None
) -> Tensor:
    """U(-radius, radius) like x, made of `drawn` where that is given, else of `draw`.

    Raises: ValueError for `drawn` of another shape.
    """
    numbers = draw(x, generator) if drawn is None else drawn
    if numbers.shape != x.shape:
        raise ValueError(
            f"drawn has shape {tuple(numbers.shape)} for images of {tuple(x.shape)}; give the "
            "numbers of draw(x, generator)"
        )
    noise = numbers.mul(2 * radius).sub_(radius)
    return torch.empty_like(x, requires_grad=False).copy_(noise)


@contextmanager
def undrawn_if_refused(
    generator: torch.Generator | None, x: Tensor, drawn: Tensor | None = None
) -> Iterator[None]:
    """Where the block raises, the generator of the noise has its state of before. Numbers that were
    drawn before are not its."""
    if drawn is not None:
        yield
        return
    if generator is None:
        on_cuda = x.device.type == "cuda"
        generator = (
            torch.cuda.default_generators[x.device.index] if on_cuda else torch.default_generator
        )
    state = generator.get_state()
    try:
        yield
    except Exception:
        generator.set_state(state)
        raise


def prepare(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float | None,
    steps: int,
    loss: str,
    trusted: bool,
) -> tuple[Tensor, Tensor, float]:
    """Images that can be differentiated, labels in int64, and eps; nothing is changed or drawn.

    The values of x and y are looked at unless the call is `trusted`. On a GPU that makes the host
    wait, and costs a forward pass, which says how many classes the model has.

    Raises: ValueError for arguments that no attack can use.
    """
    check_radius("eps", eps, "8/255")
    if step_size is not None:
        check_radius("step_size", step_size, "2/255")
    if not isinstance(steps, Integral) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps}")
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; choose from {', '.join(LOSSES)}")
    x, y = as_batch(x, y)
    if not trusted and x.numel():
        check_pixels(x)
        if y.device.type != "cpu":
            check_by_forward_pass(model, x, y)
    return x, y, float(eps)


def as_batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The same images and labels, detached, outside of inference mode, labels in int64.

    Raises: ValueError for what is no batch: arrays, integer images, labels of another shape.
    """
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(
                f"{name} is of type {kind}, not a tensor; give torch.as_tensor({name})"
            )
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}; attacks take floating point images in [0, 1]")
    if y.shape != x.shape[:1] or y.dtype not in _LABELS:
        raise ValueError(
            f"y must be integer labels of shape ({x.shape[0]},), got {y.dtype} {tuple(y.shape)}"
        )
    if x.device != y.device:
        raise ValueError(f"x is on {x.device} and y on {y.device}; give y.to(x.device)")
    x, y = x.detach(), y.long()
    return (x.clone() if x.is_inference() else x), (y.clone() if y.is_inference() else y)


_LABELS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_radius(name: str, value: float, example: str) -> None:
    """Raise ValueError unless value is a number in [0, 1], which is the range of the pixels."""
    if not isinstance(value, Real):
        raise ValueError(
            f"{name} is of type {type(value).__name__}; give a number such as {example}"
        )
    if not 0 <= value <= 1:
        raise ValueError(
            f"{name} must be a number from 0 to 1, the range of the pixels, such as {example};"
            f" got {value}"
        )


def check_pixels(x: Tensor) -> None:
    """Raise ValueError unless all pixels are numbers in [0, 1]. Waits for the device."""
    low, high = (float(value) for value in x.aminmax())
    if low != low:
        raise ValueError("x has pixels that are not a number (NaN); attacks take images in [0, 1]")
    if low < 0 or high > 1:
        raise ValueError(
            f"x has values in [{low:.3g}, {high:.3g}]; attacks take images in [0, 1], "
            "the network normalises them itself"
        )


def check_labels(y: Tensor, num_classes: int) -> None:
    """Raise ValueError unless every label is one of the model's classes. Waits for the device."""
    low, high = (int(value) for value in y.aminmax()) if y.numel() else (0, 0)
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        raise ValueError(
            f"y has the label {wrong}; the model gives {num_classes} classes, so that labels are"
            f" from 0 to {num_classes - 1}"
        )


@torch.no_grad()
def check_by_forward_pass(model: Model, x: Tensor, y: Tensor) -> None:
    """Raise ValueError where the model gives no logits, or has no class for a label."""
    with frozen(model):
        check_labels(y, logits_of(model, x).shape[1])


def check_single_step(name: str, steps: int) -> None:
    """Raise ValueError where a one-step attack is asked for several steps."""
    if steps != 1:
        raise ValueError(f"{name} takes 1 step, got steps={steps}; use pgd for several")
