"""CRoZe: are a clean and a perturbed network consistent in features, parameters and gradients?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.attacks import fgsm
from supernet.nets.skeleton import Skeleton
from supernet.proxies.common import (
    calibrate,
    gradients,
    layers,
    loss_gradients,
    scratch,
    weights,
    without_batch_norm,
)

MODES = ("paper", "released")
RELEASED_BATCH = 8
RELEASED_EPS = 0.01
"""In units of the normalised image."""


def croze(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
    *,
    mode: str = "paper",
    beta: float = 2.0,
    eps: float = 8 / 255,
    lr: float = 0.1,
) -> float:
    """sum over conv and linear layers m of Z_m * P_m * G_m.

    With W_m a layer's weight, g_m = dL/dW_m and L the batch's mean cross-entropy, the perturbed
    network has W'_m = W_m + beta * |W_m| * g_m / |g_m| (layer by layer uphill), the perturbed
    images are x' = FGSM(x) on it, and g'_m is the gradient there, at x'. Then
        Z_m = mean over images of cos(z_m(x; W), z_m(x'; W')), z_m the layer's output
        P_m = cos(W_m - lr * g_m, W'_m - lr * g'_m)
        G_m = |cos(g_m, g'_m)|
    where a cosine with a zero vector is 0. Higher means more consistent under perturbation.

    mode="paper": as above, in training mode; FGSM is that of `supernet.attacks`, on images in
    [0, 1], with batch norm held at the statistics of the clean images.
    mode="released": what the authors' published code computes. It takes absolute weights, batch
    norm in the reduction blocks alone, float64 and the first 8 images; its FGSM step of 0.01 on
    normalised images LOWERS the loss and clamps them to [0, 1]; g'_m is the sum of the gradients at
    x and at x', for FGSM's own are never cleared; there is no gradient step before P; Z and P are
    1 + cosine; all cosines are taken along dimension 0 (of a weight: over output channels; of
    features: over the batch) and summed over the rest, so that the score grows with the size of the
    layers; features are those of the layer's stage (stem, both reductions, last cells, pooled), not
    of the layer. `eps` and `lr` are not used. Outside of `Skeleton` networks, features are each
    layer's output. Differs: the authors' convolutions inside cells have a bias, ours have none.

    Units:    eps in the pixel range [0, 1]; beta relative to |W_m| (2 in the released code).
    Sentinel: 0 for cells without a path from input to output.
    Raises:   ValueError for another mode.
    Source:   Ha et al. 2023, arXiv:2306.05031, section 3; code of the same name.
    """
    if mode not in MODES:
        raise ValueError(f"unknown CRoZe mode {mode!r}; choose {' or '.join(MODES)}")
    if mode == "released":
        return _released(network, images[:RELEASED_BATCH], labels[:RELEASED_BATCH], beta)
    return _paper(network, images, labels, beta=beta, eps=eps, lr=lr)


def croze_released(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """`croze` with mode="released": what the authors' published code computes.

    Higher means more consistent, and larger. Sentinel: 0 without a path from input to output.
    """
    return croze(network, images, labels, generator, mode="released")


def _paper(
    network: nn.Module, x: Tensor, y: Tensor, *, beta: float, eps: float, lr: float
) -> float:
    clean = scratch(network)
    with _features([(layer, False) for layer in layers(clean)]) as z:
        g = loss_gradients(clean, x, y)
    perturbed = scratch(network)
    _step_uphill(weights(perturbed), g, beta)
    at_rest = scratch(perturbed)
    calibrate(at_rest, x)
    x_adv = fgsm(at_rest, x, y, eps=eps)
    with _features([(layer, False) for layer in layers(perturbed)]) as z_adv:
        g_adv = loss_gradients(perturbed, x_adv, y)
    score = 0.0
    for m, (w, w_adv) in enumerate(zip(weights(clean), weights(perturbed), strict=True)):
        feature = _cosine(z[m].flatten(1), z_adv[m].flatten(1)).mean()
        w_next, w_adv_next = (w - lr * g[m]).flatten(), (w_adv - lr * g_adv[m]).flatten()
        gradient = _cosine(g[m].flatten(), g_adv[m].flatten()).abs()
        score += (feature * _cosine(w_next, w_adv_next) * gradient).item()
    return score


def _released(network: nn.Module, x: Tensor, y: Tensor, beta: float) -> float:
    clean = scratch(network)
    if isinstance(normalize := getattr(clean, "normalize", None), nn.Module):
        x = normalize(x)
        clean.normalize = nn.Identity()
    clean, x = clean.double(), x.double()
    without_batch_norm(clean, keep=[*clean.reductions] if isinstance(clean, Skeleton) else [])
    with torch.no_grad():
        for p in clean.parameters():
            p.abs_()
    perturbed = scratch(clean)
    taps, stages = _stages(clean)
    with _features(taps) as z:
        g = loss_gradients(clean, x, y)
    _step_uphill(weights(perturbed), g, beta)
    x = x.detach().clone().requires_grad_(True)
    x_grad, *g_before = gradients(F.cross_entropy(perturbed(x), y), [x, *weights(perturbed)])
    x_adv = (x.detach() - RELEASED_EPS * x_grad.sign()).clamp(0, 1)
    with _features(_stages(perturbed)[0]) as z_adv:
        g_after = loss_gradients(perturbed, x_adv, y)
    g_adv = [before + after for before, after in zip(g_before, g_after, strict=True)]
    score = 0.0
    for m, (w, w_adv) in enumerate(zip(weights(clean), weights(perturbed), strict=True)):
        feature = (1 + F.cosine_similarity(z[stages[m]], z_adv[stages[m]], dim=0)).sum()
        parameter = (1 + F.cosine_similarity(w, w_adv, dim=0)).sum()
        gradient = F.cosine_similarity(g[m], g_adv[m], dim=0).abs().sum()
        score += (feature * parameter * gradient).abs().item()
    return score


@torch.no_grad()
def _step_uphill(ws: Sequence[Tensor], grads: Sequence[Tensor], beta: float) -> None:
    """W += beta * |W| * g / |g|, layer by layer; a layer without gradient stays."""
    for w, grad in zip(ws, grads, strict=True):
        size = grad.norm()
        w.add_(torch.where(size > 0, beta * w.norm() / size, 0.0) * grad)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine along the last dimension, 0 where either vector is zero."""
    a_unit = a / a.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(a.dtype).tiny)
    b_unit = b / b.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(b.dtype).tiny)
    return (a_unit * b_unit).sum(-1)


Tap = tuple[nn.Module, bool]
"""A module, and whether its input is meant (True) or its output."""


@contextmanager
def _features(taps: Sequence[Tap]) -> Iterator[list[Tensor]]:
    """The tapped tensors of the forward pass inside the block, in the order of the taps."""
    found = [torch.empty(0)] * len(taps)

    def hook(number: int, wants_input: bool) -> Callable[..., None]:
        def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found[number] = (inputs[0] if wants_input else output).detach()

        return record

    handles = [
        module.register_forward_hook(hook(number, wants_input))
        for number, (module, wants_input) in enumerate(taps)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _stages(network: nn.Module) -> tuple[list[Tap], list[int]]:
    """Which features the released code compares, and for each layer the number of its feature.

    The n-th of 3N cells belongs to feature n // N: all cells of a stage but its last one to the
    stage's input, the last one to the output of the reduction behind it.
    """
    own = layers(network)
    if not isinstance(network, Skeleton):
        return [(layer, False) for layer in own], list(range(len(own)))
    after = [network.stem, *network.reductions, network.cells[-1]]
    taps = [*((module, False) for module in after), (network.classifier, True)]
    stage_of: dict[nn.Module, int] = {network.classifier: 4}
    parts: list[tuple[nn.Module, int]] = [(network.stem, 0)]
    parts += [(cell, n // network.N) for n, cell in enumerate(network.cells, start=1)]
    parts += [(block, n) for n, block in enumerate(network.reductions, start=1)]
    for part, stage in parts:
        stage_of.update(dict.fromkeys(part.modules(), stage))
    return taps, [stage_of[layer] for layer in own]
