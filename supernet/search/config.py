"""The configuration of a search: one frozen dataclass, its presets, and its hash."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supernet.errors import UserError

ATTACK_NAMES = ("fgsm", "fgsm_rs", "n_fgsm", "pgd")
OBJECTIVE_NAMES = ("weighted", "mgda")
STRATEGY_NAMES = ("darts", "darts2", "drnas", "gdas")
PATH_KINDS = ("alpha", "sandwich")
GUIDES = ("alpha", "gains", "inner_gains")
"""What the strongest operators can be read from."""
ATTACK_DTYPES = ("float32", "bfloat16")
IMPL_NAMES = ("auto", "reference", "batched", "native")

WHERE_FIELDS = ("out", "data_root", "keep_epochs")
"""Fields that do not change the result (locations, what to keep). The hash leaves them out, and a
resumed run may change them."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search depends on. Each field is a command-line flag of scripts/search.py."""

    dataset: str = "digits"
    """Images: digits, cifar10, cifar100, imagenet16-120 or folder:PATH (a subfolder per class)."""
    data_root: str | None = None
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    limit: int | None = None
    """Use at most this many training images, class by class as evenly as they come."""
    side: int | None = None
    """Side in pixels that the pictures of folder:PATH are resized to. Automatic is 32."""
    shrink: int = 1
    """Search on images smaller by this factor, each pixel the mean of shrink x shrink: with 2 a
    step takes a quarter of the time. The cell that is found is trained alone at full size."""
    robust: bool = False
    """Train the weights on attacked images and judge cells by their robustness. Without it the
    search is for clean accuracy alone."""

    C: int = 16
    """Channels of the first stage; the others have 2C and 4C. The benchmark's networks have 16."""
    N: int = 5
    """Cells per stage. The benchmark's networks have 5."""
    strategy: str = "darts"
    """How alpha becomes edge weights: darts, darts2 (second order), drnas, gdas."""
    objective: str = "weighted"
    """How a robust search weighs alpha's clean and robust loss: weighted (by robust-weight), or
    mgda (the step of least norm, which raises neither)."""
    robust_weight: float = 0.5
    """Share of the robust loss in what alpha follows: 0 is the clean loss alone (of weights that
    are trained on attacked images), 1 the robust loss alone."""

    epochs: int = 50
    """Passes over the weight half of the training images."""
    warmup_epochs: int = 0
    """First epochs that train the weights on clean images and leave alpha alone."""
    batch_size: int = 64
    """Images per step, for the weights and again for alpha."""
    lr: float = 0.025
    """Learning rate of the weights (SGD with Nesterov momentum), falling by a cosine to 0.001."""
    path_share: float = 0.0
    """Share of weight steps that train one random cell instead of the mixture. A cell costs about a
    third of the mixture."""
    path_kind: str = "alpha"
    """What those steps train: alpha, a cell drawn from alpha's edge weights; sandwich, the mixture,
    an evenly drawn connected cell and the argmax cell, by their mean loss."""
    alpha_lr: float = 3e-4
    """Learning rate of alpha (Adam, betas 0.5 and 0.999)."""
    beta_decay: float = 0.0
    """Strength of decoupled beta-decay at the end of the search; it grows linearly from 0. For
    drnas it pulls by the softmax of alpha, which is not the mean of that Dirichlet."""

    attack: str = "pgd"
    """Attack on the images of weights and alpha: fgsm, fgsm_rs, n_fgsm, pgd."""
    attack_steps: int = 7
    """Steps of PGD; the single-step attacks take one."""
    attack_dtype: str = "float32"
    """Arithmetic of these attacks: float32, or bfloat16, which is faster on a GPU. An attack uses
    no more than the signs of gradients. Training and measurements stay in float32."""
    eps: float | None = None
    """L-inf radius in the pixel range [0, 1]. Automatic is the data set's: 8/255, digits 32/255."""
    probe_images: int = 512
    """Images of the alpha half that are evaluated after each epoch."""

    derive_by: str = "gains"
    """What the cell's operators are read from: gains (how fast the clean loss falls as an operator
    gains weight in the even mixture, measured at the end), inner_gains (without the network's last
    cell) or alpha (its edge weights). The report shows all three."""
    derive_none: bool = False
    """Whether the cell may hold the operator none."""
    max_params: float | None = None
    """Most parameters that the cell's own network (C=16, N=5) may have, for example 0.8M."""
    max_flops: float | None = None
    """Most multiply-adds of the cell's own network for one image, for example 120M."""

    keep_epochs: tuple[int, ...] = ()
    """Epochs after which weights and alpha are kept as epoch-0004.pt, for rank.py --epoch 4."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    impl: str = "auto"
    """How the mixed cell is computed: reference, batched (PyTorch), native (compiled); automatic
    is native where it is built, else batched."""
    out: str | None = None
    """Run directory. Automatic is runs/search-DATASET-STRATEGY-seedN, with a number if taken."""

    def __post_init__(self) -> None:
        _choose("strategy", self.strategy, STRATEGY_NAMES)
        _choose("objective", self.objective, OBJECTIVE_NAMES)
        _choose("impl", self.impl, IMPL_NAMES)
        _choose("derive-by", self.derive_by, GUIDES)
        _choose("path-kind", self.path_kind, PATH_KINDS)
        _choose("attack", self.attack, ATTACK_NAMES)
        _choose("attack-dtype", self.attack_dtype, ATTACK_DTYPES)
        for name in ("C", "N", "shrink", "epochs", "batch_size", "attack_steps",
                     "probe_images"):  # fmt: skip
            _check(name, getattr(self, name) >= 1, getattr(self, name), "at least 1")
        for name in ("robust_weight", "path_share"):
            _check(name, 0 <= getattr(self, name) <= 1, getattr(self, name), "between 0 and 1")
        for name in ("lr", "alpha_lr"):
            _check(name, getattr(self, name) > 0, getattr(self, name), "positive")
        for name in ("beta_decay", "seed"):
            _check(name, getattr(self, name) >= 0, getattr(self, name), "0 or more")
        for name in ("max_params", "max_flops"):
            value = getattr(self, name)
            _check(name, value is None or value > 0, value, "above 0")
        _check(
            "warmup_epochs",
            0 <= self.warmup_epochs < self.epochs,
            self.warmup_epochs,
            f"from 0 to epochs - 1 = {self.epochs - 1}",
        )
        if self.path_share == 0 and self.path_kind != "alpha":
            raise UserError("--path-kind needs --path-share above 0")
        if self.objective == "mgda" and not self.robust:
            raise UserError("--objective mgda weighs two losses; it needs --robust")
        for epoch in self.keep_epochs:
            _check("keep_epochs", 1 <= epoch <= self.epochs, epoch, f"from 1 to {self.epochs}")
        if self.eps is not None:
            _check("eps", 0 < self.eps <= 1, self.eps, "above 0 and at most 1 (write 8/255)")
        if self.limit is not None:
            _check("limit", self.limit >= 1, self.limit, "at least 1")

    @property
    def budgets(self) -> dict[str, float]:
        """The most of params and flops that a cell may have; empty where nothing limits it."""
        given = {"params": self.max_params, "flops": self.max_flops}
        return {name: most for name, most in given.items() if most is not None}

    @property
    def alpha_follows(self) -> tuple[str, ...]:
        """The losses that alpha lowers: clean, robust, or both."""
        if not self.robust:
            return ("clean",)
        if self.objective == "mgda":
            return ("clean", "robust")
        kept = {"clean": self.robust_weight < 1, "robust": self.robust_weight > 0}
        return tuple(name for name, wanted in kept.items() if wanted)

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON has them, lists for tuples."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    def hash(self) -> str:
        """Twelve hexadecimal digits that two runs share when all that matters is equal."""
        return hashlib.sha256(
            json.dumps(self.what(), sort_keys=True).encode()
        ).hexdigest()[:12]  # fmt: skip

    def what(self) -> dict[str, Any]:
        """The fields that determine the result (WHERE_FIELDS left out)."""
        return {name: v for name, v in self.to_dict().items() if name not in WHERE_FIELDS}


def from_dict(values: dict[str, Any]) -> SearchConfig:
    """The config of a `config.json`.

    Raises: UserError for fields that this version does not know or that have a bad value.
    """
    known = {field.name for field in dataclasses.fields(SearchConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(
            f"config has unknown fields {', '.join(unknown)}; was it written by another version?"
        )
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return SearchConfig(**fields)


def differences(a: SearchConfig, b: SearchConfig) -> list[str]:
    """What differs between two configs that matters to the result, as `field: a -> b`."""
    first, second = a.what(), b.what()
    return [f"{k}: {first[k]} -> {second[k]}" for k in first if first[k] != second[k]]


def _choose(flag: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{flag} '{value}' is unknown; choose one of {', '.join(choices)}")


def _check(name: str, good: bool, value: Any, expected: str) -> None:
    if not good:
        raise UserError(f"{name.replace('_', '-')} is {value}; it must be {expected}")


def _digits() -> dict[str, Any]:
    """The embedded images: a few minutes on two CPU cores."""
    return dict(
        C=8, N=1, epochs=20, warmup_epochs=2, batch_size=32, lr=0.05, alpha_lr=3e-3,
        attack="n_fgsm", beta_decay=10.0, path_share=0.5,
    )  # fmt: skip


def _cpu() -> dict[str, Any]:
    """CIFAR-sized images on two CPU cores: one cell per stage, half the side, half the radius."""
    # In 1,500 steps at 8/255 the network is underfitted and pooling wins; under attack alpha
    # prefers what amplifies least (skip, pool) long before the weights can defend a 3x3.
    return dict(
        C=16, N=1, shrink=2, epochs=4, warmup_epochs=1, batch_size=64, lr=0.05, alpha_lr=3e-3,
        limit=50_000, attack="n_fgsm", eps=4 / 255, robust_weight=0.0, beta_decay=100.0,
        path_share=0.5,
    )  # fmt: skip


def _gpu() -> dict[str, Any]:
    """One GPU: the benchmark's own skeleton and attack."""
    # Beta-decay and the way the cell is read are the `cpu` preset's, where both objectives end
    # with cells as good; at this size they are still to be measured.
    return dict(
        C=16, N=5, epochs=50, warmup_epochs=2, batch_size=256, lr=0.1, alpha_lr=3e-3,
        attack="pgd", attack_dtype="bfloat16", beta_decay=100.0, path_share=0.5,
        probe_images=2048,
    )  # fmt: skip


def _darts() -> dict[str, Any]:
    """A baseline: the published DARTS settings on this space, nothing of ours."""
    return dict(derive_by="alpha", derive_none=True)


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {
    "digits": _digits,
    "cpu": _cpu,
    "gpu": _gpu,
    "darts": _darts,
}
"""name -> the fields it sets. What the user names on the command line wins."""


def with_preset(name: str | None, given: dict[str, Any], *, cuda: bool) -> SearchConfig:
    """The config of a command line: preset fields, then what the user gave.

    name None chooses: digits for the embedded images, else gpu where CUDA is, else cpu.

    Raises: UserError for an unknown preset or a bad value.
    """
    if name is None:
        digits = given.get("dataset", "digits") == "digits"
        name = "digits" if digits else "gpu" if cuda else "cpu"
    if name not in PRESETS:
        raise UserError(f"preset '{name}' is unknown; choose one of {', '.join(PRESETS)}")
    return SearchConfig(**{**PRESETS[name](), **given})
