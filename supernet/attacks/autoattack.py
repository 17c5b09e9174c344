"""AutoAttack, standard version: APGD-CE, APGD-T, FAB-T and Square, one after the other.

The four attacks are those of the package pyautoattack, the authors' own code. Everything around
them is here: which images each attack still gets, whether what it returns counts, random state,
progress. The package's own driver believes the network's answers during the attack; here only the
images that are returned count.
"""

import re
import threading
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

from supernet.attacks.accuracy import right_answers
from supernet.attacks.common import Model, as_batch, check_labels, check_pixels, logits_of
from supernet.attacks.frozen import frozen
from supernet.progress import Progress, say_without_terminal

STANDARD = ("apgd_ce", "apgd_t", "fab_t", "square")
"""In the order of Croce & Hein: cheap and strong first, so that the dearer ones get few images."""

ITERATIONS = 100
QUERIES = 5000
TARGETS = 9
LEAST_CLASSES = 4
"""The targeted DLR loss of APGD-T needs the four largest logits."""

_SEEDING = threading.Lock()

Perturb = Callable[[Tensor, Tensor], Tensor]
"""(x, y) -> attacked images, before they are projected."""


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


@torch.inference_mode(False)
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
    x, y = as_batch(x, y)
    x = x.contiguous()
    with frozen(model), frozen(attack):
        settings = _Settings(eps, _num_classes(model, attack, x), seed, iterations, queries)
        _check(x, y, attacks, settings)
        images = _Images(model, x, y, eps, batch_size)
        clean_accuracy = images.accuracy
        meter = _Meter(attacks, settings, int(images.right.sum()), show=progress)
        stages = [images.stage(name, meter.watch(attack), settings, meter) for name in attacks]
        meter.close()
        accuracy = _share(right_answers(model, images.x_adv, y, batch_size))
    return AutoAttackResult(
        x_adv=images.x_adv, clean_accuracy=clean_accuracy, accuracy=accuracy, stages=tuple(stages)
    )


@dataclass(frozen=True)
class _Settings:
    """What the four attacks are run with."""

    eps: float
    classes: int
    seed: int
    iterations: int
    queries: int

    @property
    def targets(self) -> int:
        """Wrong classes that the targeted attacks try."""
        return min(TARGETS, self.classes - 1)

    def attack(self, name: str, predict: Model, notes: "_Notes") -> Perturb:
        """One of the four with the standard version's settings."""
        common: dict[str, Any] = {
            "norm": "Linf", "eps": self.eps, "seed": self.seed, "n_restarts": 1,
        }  # fmt: skip
        if name == "square":
            return SquareAttack(
                predict, n_queries=self.queries, p_init=0.8, resc_schedule=False, **common
            ).perturb
        common["n_iter"] = self.iterations
        if name == "apgd_ce":
            return APGDAttack(predict, loss="ce", logger=notes, **common).perturb
        common["n_target_classes"] = self.targets
        if name == "apgd_t":
            return APGDAttack_targeted(predict, logger=notes, **common).perturb
        return FABAttack_PT(predict, targeted=True, **common).perturb

    def costs(self) -> dict[str, int]:
        """The most that each attack takes per image, in forward passes; a gradient counts as 3."""
        gradients = 3 * (self.iterations + 1)
        return {
            "apgd_ce": gradients + 1,
            "apgd_t": self.targets * (gradients + 1) + 1,
            "fab_t": self.targets * (4 * self.iterations + 4) + 1,
            "square": self.queries + 3,
        }


class _Images:
    """The images, how far they are attacked, and which of them `model` still has right."""

    def __init__(self, model: Model, x: Tensor, y: Tensor, eps: float, batch_size: int) -> None:
        self.model, self.x, self.y = model, x, y
        self.eps, self.batch_size = eps, batch_size
        self.x_adv = x.clone()
        self.right = right_answers(model, x, y, batch_size)

    @property
    def accuracy(self) -> float:
        return _share(self.right)

    def stage(self, name: str, predict: Model, settings: _Settings, meter: "_Meter") -> Stage:
        """Run one attack on the images that are still right."""
        began = time.perf_counter()
        notes = _Notes()
        attack = settings.attack(name, predict, notes)
        index = self.right.nonzero().flatten()
        for batch in index.split(self.batch_size) if len(index) else ():
            self._attack(attack, batch)
            meter.batch_done(name, len(batch), self.accuracy)
        left = int(self.right.sum())
        meter.stage_done(name, left)
        return Stage(
            attack=name,
            attacked=len(index),
            broken=len(index) - left,
            accuracy=self.accuracy,
            zero_gradients=notes.zero_gradients,
            seconds=time.perf_counter() - began,
        )

    def _attack(self, attack: Perturb, batch: Tensor) -> None:
        x, y = self.x[batch], self.y[batch]
        # The package seeds the global generators: what the caller draws must not notice, and two
        # threads must not take each other's state for the caller's.
        with _SEEDING, torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            candidate = attack(x.clone(), y.clone())
        candidate = _project(candidate, x, self.eps)
        wrong = ~right_answers(self.model, candidate, y, self.batch_size)
        self.x_adv[batch[wrong]] = candidate[wrong]
        self.right[batch[wrong]] = False


def _project(candidate: Tensor, x: Tensor, eps: float) -> Tensor:
    """Onto the eps ball around x and onto [0, 1]; what is not a number becomes x."""
    candidate = torch.where(candidate.isfinite(), candidate.detach(), x)
    return torch.minimum(torch.maximum(candidate, x - eps), x + eps).clamp_(0, 1)


@torch.no_grad()
def _num_classes(model: Model, attacked: Model, x: Tensor) -> int:
    if not len(x):
        raise ValueError("there are no images to attack")
    classes, others = (int(logits_of(one, x[:1]).shape[1]) for one in (model, attacked))
    if classes != others:
        raise ValueError(
            f"the surrogate gives {others} classes and the model {classes}; give a faster form of"
            " the same model"
        )
    return classes


def _share(right: Tensor) -> float:
    return int(right.sum()) / len(right)


def _check(x: Tensor, y: Tensor, attacks: Sequence[str], settings: _Settings) -> None:
    unknown = [name for name in attacks if name not in STANDARD]
    if unknown:
        raise ValueError(f"unknown attack {unknown[0]!r}; choose from {', '.join(STANDARD)}")
    classes, eps = settings.classes, settings.eps
    if classes < LEAST_CLASSES:
        raise ValueError(
            f"AutoAttack needs {LEAST_CLASSES} classes and the network has {classes}; use pgd"
        )
    if not 0 < eps <= 1:
        raise ValueError(f"eps must be above 0 and at most 1 (such as 8/255), got {eps}")
    check_pixels(x)
    check_labels(y, classes)


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

    The most that each attack may cost per image is known beforehand. After each attack the total
    shrinks to what the images that are left can cost.
    """

    def __init__(
        self, attacks: Sequence[str], settings: _Settings, images: int, *, show: bool
    ) -> None:
        costs = settings.costs()
        self.costs = {name: costs[name] for name in attacks}
        self.pending, self.show = list(attacks), show
        self.done = 0
        total = images * sum(self.costs.values())
        self.bar = Progress("AutoAttack", total, "pass", unit_scale=True, quiet=not show)

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
        say_without_terminal(f"AutoAttack: {left} images withstand {name}", quiet=not self.show)
        self.bar.total = self.done + left * sum(self.costs[other] for other in self.pending)
        self.bar.refresh()

    def close(self) -> None:
        self._set(self.bar.total or self.done)
        self.bar.close()

    def _set(self, n: float) -> None:
        self.bar.update(n - self.bar.n)
