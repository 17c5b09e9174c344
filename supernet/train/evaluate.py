"""Measures a trained network: clean, under FGSM and PGD-20 at several radii, under AutoAttack.

A row says what was measured so completely that it can be measured again: data set, split, number
of images, attack, eps, steps, step size, seed. Everything is float32.
"""

import functools
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from supernet.attacks import ATTACKS, frozen
from supernet.attacks.accuracy import right_answers
from supernet.attacks.autoattack import ITERATIONS, LEAST_CLASSES, QUERIES, autoattack
from supernet.data import ImageData, to_float
from supernet.errors import UserError
from supernet.precision import exact
from supernet.progress import Progress, say_without_terminal
from supernet.report.words import pixels

NAMES = ("clean", "fgsm", "pgd", "autoattack")
PGD_STEPS = 20
BENCHMARK_SHARES = (3 / 8, 1.0)
"""The benchmark's radii, 3/255 and 8/255, as shares of the data set's own: 8/255, digits 32/255."""


def default_radii(data: ImageData) -> tuple[float, ...]:
    """3/255 and 8/255; for digits, whose radius is four times as large, 12/255 and 32/255."""
    return tuple(share * data.eps for share in BENCHMARK_SHARES)


def evaluate(
    model: nn.Module,
    data: ImageData,
    *,
    attacks: Sequence[str] = NAMES,
    radii: Sequence[float] | None = None,
    seed: int = 0,
    batch_size: int = 250,
    iterations: int = ITERATIONS,
    queries: int = QUERIES,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """One row per attack and radius on all test images of `data`, then the worst case of them.

    Robust accuracy is the share of images that are right both as they are and attacked: an image
    that is wrong already needs no attack, and gets none. So no attack's accuracy exceeds the
    clean one. AutoAttack runs at the largest radius. `worst_case` counts the images that every
    attack at that radius, AutoAttack included, left right: it alone is below all of them by
    construction. `balanced_accuracy` counts all classes alike, however many images they have. The
    network is measured in evaluation mode and has its own modes back afterwards.

    Units:   radii in the pixel range [0, 1].
    Raises:  UserError for an unknown attack, no test images, or too few classes for AutoAttack.
    Source:  the benchmark's evaluation: PGD-20 with step 2.5 * eps / 20 and a random start.
    Differs: the benchmark's code attacks images that are wrong already, too, and counts those that
             an attack puts right. So does `supernet.attacks.accuracy.evaluate`, which follows a
             search or a training and orders cells: there every image counts, with its loss.
    """
    radii = sorted(default_radii(data) if radii is None else radii)
    check(attacks, radii, data)
    # Evaluation mode is entered before anything looks at the network, and left as it was found.
    with frozen(model), exact():
        bench = _Bench(model, data, seed, batch_size, progress)
        rows = [bench.clean()]
        for name in ("fgsm", "pgd"):
            if name in attacks:
                rows += [bench.attacked(name, eps) for eps in radii]
        if "autoattack" in attacks:
            rows.append(bench.autoattacked(radii[-1], iterations, queries))
        if len(rows) > 1:
            rows.append(bench.worst_case(radii[-1]))
    return rows


class _Bench:
    """The test images, which of them are still right, and the rows."""

    def __init__(
        self, model: nn.Module, data: ImageData, seed: int, batch_size: int, progress: bool
    ) -> None:
        self.model, self.data, self.seed = model, data, seed
        self.batch_size, self.progress = batch_size, progress
        self.x, self.y = to_float(data.test_x), data.test_y
        # The same function, folded: attacks see it, the network itself judges what they return.
        fold = getattr(model, "fold", None)
        self.surrogate: Callable[[Tensor], Tensor] = model if fold is None else fold()
        self.right = torch.ones(len(self.y), dtype=torch.bool)
        self.survivors: dict[float, Tensor] = {}

    def clean(self) -> dict[str, Any]:
        began = time.perf_counter()
        batches = self._batches("clean", torch.arange(len(self.y)))
        self.right = torch.cat([self._right(x, y) for x, y in batches])
        return self._row("clean", 0.0, self.right, began, steps=0, step_size=0.0)

    def attacked(self, name: str, eps: float) -> dict[str, Any]:
        began = time.perf_counter()
        steps = PGD_STEPS if name == "pgd" else 1
        step_size = 2.5 * eps / steps if name == "pgd" else eps
        attack = functools.partial(
            ATTACKS[name], eps=eps, step_size=step_size, steps=steps,
            generator=self._generator(name, eps), trusted=True,
        )  # fmt: skip
        index = self.right.nonzero().flatten()
        right = self.right.clone()
        batches = self._batches(f"{name} {pixels(eps)}", index)
        parts = [self._right(attack(self.surrogate, x, y), y) for x, y in batches]
        right[index] = torch.cat(parts) if parts else right[index]
        self._survive(eps, right)
        start = {"random_start": True, "restarts": 1} if name == "pgd" else {}
        return self._row(name, eps, right, began, steps=steps, step_size=step_size, **start)

    def autoattacked(self, eps: float, iterations: int, queries: int) -> dict[str, Any]:
        began = time.perf_counter()
        result = autoattack(
            self.model, self.x, self.y, eps=eps, seed=self.seed, batch_size=self.batch_size,
            surrogate=self.surrogate, iterations=iterations, queries=queries,
            progress=self.progress,
        )  # fmt: skip
        right = self._right(result.x_adv, self.y)
        self._survive(eps, right)
        standard = (iterations, queries) == (ITERATIONS, QUERIES)
        return self._row(
            "autoattack", eps, right, began,
            version="standard" if standard else "shortened",
            steps=iterations, queries=queries,
            stages=[vars(stage) for stage in result.stages],
        )  # fmt: skip

    def worst_case(self, eps: float) -> dict[str, Any]:
        right = self.survivors.get(eps, self.right)
        return self._row("worst_case", eps, right, time.perf_counter(), steps=None)

    def _survive(self, eps: float, right: Tensor) -> None:
        self.survivors[eps] = self.survivors.get(eps, self.right) & right

    def _row(
        self, name: str, eps: float, right: Tensor, began: float, **facts: Any
    ) -> dict[str, Any]:
        accuracy = int(right.sum()) / len(right)
        title = name if name == "clean" else row_name(name, eps)
        say_without_terminal(f"{title}: {accuracy:.2%} right", quiet=not self.progress)
        return {
            "name": title,
            "attack": name,
            "accuracy": accuracy,
            "balanced_accuracy": balanced_accuracy(right, self.y),
            "dataset": self.data.name,
            "split": "test",
            "images": len(right),
            "eps": eps,
            "seed": self.seed,
            **facts,
            "seconds": time.perf_counter() - began,
        }

    def _batches(self, title: str, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        bar = Progress(title, len(index), "image", leave=False, quiet=not self.progress)
        with bar:
            for batch in index.split(self.batch_size) if len(index) else ():
                x = self.x[batch].contiguous(memory_format=torch.channels_last)
                yield x, self.y[batch]
                bar.update(len(batch))

    def _right(self, x: Tensor, y: Tensor) -> Tensor:
        return right_answers(self.model, x, y, self.batch_size)

    def _generator(self, name: str, eps: float) -> torch.Generator:
        # Each row has its own numbers: leaving one out changes no other.
        mixed = zlib.crc32(f"{self.seed} {name} {eps:.6f}".encode())
        return torch.Generator(self.x.device).manual_seed(mixed)


def balanced_accuracy(right: Tensor, y: Tensor) -> float:
    """The mean over the classes of the share of their images that are right; classes without
    images are left out. With classes of one size it is the accuracy.

    Shapes: right (N,) bool, y (N,) int64.
    """
    labels = y.cpu()
    totals = torch.bincount(labels).double()
    hits = torch.bincount(labels, weights=right.cpu().double(), minlength=len(totals))
    return float((hits / totals)[totals > 0].mean())


def row_name(attack: str, eps: float) -> str:
    """The benchmark's column names: fgsm_3, pgd_8; AutoAttack has one radius and no number."""
    return attack if attack == "autoattack" else f"{attack}_{round(eps * 255, 3):g}"


def check(attacks: Sequence[str], radii: Sequence[float], data: ImageData) -> None:
    """Raise the UserErrors of `evaluate` before anything is computed."""
    for name in attacks:
        if name not in NAMES:
            raise UserError(f"attack '{name}' is unknown; choose among {', '.join(NAMES)}")
    if not radii or not all(0 < eps <= 1 for eps in radii):
        raise UserError("every radius must be above 0 and at most 1; write --eps 3/255,8/255")
    if not len(data.test_y):
        raise UserError(f"{data.name} has no test images here; give a limit of at least 1")
    if "autoattack" in attacks and data.num_classes < LEAST_CLASSES:
        raise UserError(
            f"AutoAttack needs {LEAST_CLASSES} classes and {data.name} has {data.num_classes};"
            " evaluate with --attacks clean,fgsm,pgd"
        )
