"""AutoAttack, standard version: APGD-CE, APGD-T, FAB-T and Square, one after the other.

The four attacks are those of the package pyautoattack, the authors' own code. Everything around
them is here: which images each attack still gets, whether what it returns counts, random state,
progress. The package's own driver counts an image as broken by what the network said during the
attack; here only the images that are returned count.
"""

import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from pyautoattack.square import SquareAttack
from torch import Tensor
from tqdm import tqdm

from supernet.attacks.common import Model
from supernet.attacks.frozen import frozen

STANDARD = ("apgd_ce", "apgd_t", "fab_t", "square")
"""In the order of Croce & Hein: cheap and strong first, so that the dearer ones get few images."""

ITERATIONS = 100
QUERIES = 5000
TARGETS = 9
LEAST_CLASSES = 4
"""The targeted DLR loss of APGD-T needs the four largest logits."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one attack of the ensemble did."""

    attack: str
    attacked: int
    """Images it was given: those that every attack before it had left right."""
    broken: int
    accuracy: float
    """Share of all images that are right after it."""
    zero_gradients: int
    """Starts of APGD-T whose loss had no gradient at all: many are a sign of masked gradients."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AutoAttackResult:
    """Attacked images and the accuracy that exactly these images give."""

    x_adv: Tensor
    """Like x: broken where an attack succeeded, untouched elsewhere."""
    clean_accuracy: float
    accuracy: float
    stages: tuple[Stage, ...]


def autoattack(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    attacks: Sequence[str] = STANDARD,
    batch_size: int = 250,
    seed: int = 0,
    surrogate: Model | None = None,
    iterations: int = ITERATIONS,
    queries: int = QUERIES,
    progress: bool = False,
) -> AutoAttackResult:
    """Accuracy of `model` under the worst of the attacks, each given what is still right.

    An image counts as broken when the network gives a wrong class for the very image that is
    returned, after projection onto the eps ball around x and onto [0, 1].

    surrogate: what the attacks see, where it is not `model` itself: the same function in a faster
        form, such as `DerivedNetwork.fold()`. Success is judged by `model` in any case.
    iterations, queries: of the gradient attacks and of Square; 100 and 5000 in the standard
        version, and a result with others is not "standard".

    Shapes:   x (B, 3, H, W) float32 in [0, 1], y (B,).
    Units:    eps in the pixel range [0, 1].
    Gradient: none flows through the result.
    Raises:   ValueError for an unknown attack, fewer than 4 classes, or arguments out of range.
    Source:   Croce & Hein 2020, arXiv:2003.01690; FAB: arXiv:1907.02044; Square: arXiv:1912.00049.
    Differs:  with fewer than ten classes APGD-T and FAB-T attack all wrong classes, not nine. The
              global random state is as before afterwards.
    """
    attack = model if surrogate is None else surrogate
    x = x.detach().contiguous()
    with frozen(model), frozen(attack):
        classes = _num_classes(model, x)
        _check(x, eps, attacks, classes)
        robust = _right(model, x, y, batch_size)
        clean_accuracy = _share(robust)
        x_adv = x.clone()
        meter = _Meter(attacks, int(robust.sum()), classes, iterations, queries, progress)
        stages = []
        for name in attacks:
            notes = _Notes()
            run = _attacks(meter.watch(attack), eps, classes, seed, iterations, queries, notes)
            stages.append(
                _stage(name, run[name], model, x, y, x_adv, robust, eps, batch_size, meter, notes)
            )
        meter.close()
        accuracy = _share(_right(model, x_adv, y, batch_size))
    return AutoAttackResult(
        x_adv=x_adv, clean_accuracy=clean_accuracy, accuracy=accuracy, stages=tuple(stages)
    )


def _stage(
    name: str,
    run: Callable[[Tensor, Tensor], Tensor],
    model: Model,
    x: Tensor,
    y: Tensor,
    x_adv: Tensor,
    robust: Tensor,
    eps: float,
    batch_size: int,
    meter: "_Meter",
    notes: "_Notes",
) -> Stage:
    """Run one attack on the images that are still right; writes to x_adv and robust."""
    began = time.perf_counter()
    index = robust.nonzero().flatten()
    for batch in index.split(batch_size):
        if not len(batch):
            break
        # The package seeds the global generators: what the caller draws must not notice.
        with torch.random.fork_rng(devices=_cuda_devices(x)):
            candidate = run(x[batch].clone(), y[batch].clone())
        candidate = _project(candidate, x[batch], eps)
        wrong = ~_right(model, candidate, y[batch], batch_size)
        x_adv[batch[wrong]] = candidate[wrong]
        robust[batch[wrong]] = False
        meter.batch_done(name, len(batch), _share(robust))
    left = int(robust.sum())
    meter.stage_done(name, left)
    return Stage(
        attack=name,
        attacked=len(index),
        broken=len(index) - left,
        accuracy=_share(robust),
        zero_gradients=notes.zero_gradients,
        seconds=time.perf_counter() - began,
    )


def _attacks(
    predict: Model,
    eps: float,
    classes: int,
    seed: int,
    iterations: int,
    queries: int,
    notes: "_Notes",
) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The four attacks with the standard version's settings."""
    targets = min(TARGETS, classes - 1)
    common: dict[str, Any] = {"norm": "Linf", "eps": eps, "seed": seed, "n_restarts": 1}
    return {
        "apgd_ce": APGDAttack(
            predict, n_iter=iterations, loss="ce", logger=notes, **common
        ).perturb,
        "apgd_t": APGDAttack_targeted(
            predict, n_iter=iterations, n_target_classes=targets, logger=notes, **common
        ).perturb,
        "fab_t": FABAttack_PT(
            predict, n_iter=iterations, targeted=True, n_target_classes=targets, **common
        ).perturb,
        "square": SquareAttack(
            predict, n_queries=queries, p_init=0.8, resc_schedule=False, **common
        ).perturb,
    }


def _project(candidate: Tensor, x: Tensor, eps: float) -> Tensor:
    """Onto the eps ball around x and onto [0, 1]; what is not a number becomes x."""
    candidate = torch.where(candidate.isfinite(), candidate.detach(), x)
    return torch.minimum(torch.maximum(candidate, x - eps), x + eps).clamp_(0, 1)


@torch.no_grad()
def _right(model: Model, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    parts = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return torch.cat([model(some).argmax(1) == labels for some, labels in parts])


@torch.no_grad()
def _num_classes(model: Model, x: Tensor) -> int:
    if not len(x):
        raise ValueError("there are no images to attack")
    return int(model(x[:1]).shape[1])


def _share(right: Tensor) -> float:
    return int(right.sum()) / len(right)


def _cuda_devices(x: Tensor) -> list[torch.device]:
    return [x.device] if x.device.type == "cuda" else []


def _check(x: Tensor, eps: float, attacks: Sequence[str], classes: int) -> None:
    unknown = [name for name in attacks if name not in STANDARD]
    if unknown:
        raise ValueError(f"unknown attack {unknown[0]!r}; choose from {', '.join(STANDARD)}")
    if classes < LEAST_CLASSES:
        raise ValueError(
            f"AutoAttack needs {LEAST_CLASSES} classes and the network has {classes}; use pgd"
        )
    if not 0 < eps <= 1:
        raise ValueError(f"eps must be above 0 and at most 1 (such as 8/255), got {eps}")
    low, high = (float(value) for value in x.aminmax())
    if low < 0 or high > 1:
        raise ValueError(f"images must lie in [0, 1], got {low:.3g} to {high:.3g}")


class _Notes:
    """Takes the package's warnings, which would tear the progress bar, and keeps their count."""

    def __init__(self) -> None:
        self.zero_gradients = 0

    def warning(self, message: str) -> None:
        found = re.search(r"(\d+) points with zero gradient", message)
        if found is None:
            warnings.warn(message, stacklevel=2)
        else:
            self.zero_gradients += int(found[1])


class _Meter:
    """A progress bar with the time left, in units of one forward pass of one image.

    The most that each attack may cost per image is known beforehand (a gradient counts as three
    forward passes). After each attack the total shrinks to what the images that are left can cost.
    """

    def __init__(
        self,
        attacks: Sequence[str],
        images: int,
        classes: int,
        iterations: int,
        queries: int,
        show: bool,
    ) -> None:
        targets = min(TARGETS, classes - 1)
        gradients = 3 * (iterations + 1)
        costs = {
            "apgd_ce": gradients + 1,
            "apgd_t": targets * (gradients + 1) + 1,
            "fab_t": targets * (4 * iterations + 4) + 1,
            "square": queries + 3,
        }
        self.costs = {name: costs[name] for name in attacks}
        self.pending = list(attacks)
        self.done = 0
        total = images * sum(self.costs.values())
        self.bar = tqdm(
            total=total, desc="AutoAttack", unit="pass", unit_scale=True, dynamic_ncols=True,
            disable=None if show else True,
        )  # fmt: skip

    def watch(self, predict: Model) -> Model:
        """`predict`, which moves the bar at each call."""

        def counted(x: Tensor) -> Tensor:
            gradient = torch.is_grad_enabled() and x.requires_grad
            self.bar.update(len(x) * (3 if gradient else 1))
            return predict(x)

        return counted

    def batch_done(self, name: str, images: int, accuracy: float) -> None:
        # An attack that ends early leaves its bound unspent: the bar goes to the bound.
        self.done += images * self.costs[name]
        self._set(self.done)
        self.bar.set_postfix_str(f"{name} {accuracy:.1%} right", refresh=False)

    def stage_done(self, name: str, left: int) -> None:
        self.pending.remove(name)
        self.bar.total = self.done + left * sum(self.costs[other] for other in self.pending)
        self.bar.refresh()

    def close(self) -> None:
        self._set(self.bar.total or self.done)
        self.bar.close()

    def _set(self, n: float) -> None:
        self.bar.update(n - self.bar.n)
