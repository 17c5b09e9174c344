"""The configuration of a search: one frozen dataclass, its presets, and its hash."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supernet.errors import UserError

ATTACK_NAMES = ("fgsm", "fgsm_rs", "n_fgsm", "pgd")
OBJECTIVE_NAMES = ("clean", "robust", "weighted", "mgda", "chebyshev", "epsilon", "pareto",
                   "pareto_fixed")  # fmt: skip
FRONT_OBJECTIVES = ("pareto", "pareto_fixed")
"""Those whose search ends with a front of cells."""
STRATEGY_NAMES = ("darts", "darts2", "drnas", "gdas")
PATH_KINDS = ("alpha", "uniform", "sandwich")
ATTACK_DTYPES = ("float32", "bfloat16")
IMPL_NAMES = ("auto", "reference", "batched", "native")

WHERE_FIELDS = ("out", "data_root", "keep_epochs")
"""Fields that say where, or what to keep, and change no result: a resumed run may change them, and
the hash leaves them out."""


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
    """Search for adversarial robustness; without it the search is for clean accuracy alone."""

    C: int = 16
    """Channels of the first stage; the others have 2C and 4C. The benchmark's networks have 16."""
    N: int = 5
    """Cells per stage. The benchmark's networks have 5."""
    affine: bool = False
    """Whether the searchable batch norms have scale and shift; off, as in DARTS."""
    bn_statistics: str = "running"
    """Statistics of frozen batch norm while attacked and evaluated: running, or batch (those of the
    clean minibatch). It swings supernet accuracies by more than five points."""

    strategy: str = "darts"
    """How alpha becomes edge weights: darts, darts2 (second order), drnas, gdas."""
    objective: str | None = None
    """What alpha improves: clean, robust, weighted, mgda (min-norm), chebyshev (the worst weighted
    term), epsilon (robust within a budget), pareto (a front of cells over clean and robust
    accuracy and size) or pareto_fixed (the same, with an alpha for each of six preferences instead
    of one function of all). Automatic is weighted with --robust and clean without."""
    robust_weight: float = 0.5
    """Share of the robust loss in the weighted and chebyshev objectives, and in the score of
    derived cells (robust and epsilon score by the robust loss alone)."""
    size_weight: float = 0.0
    """Weight of the expected cost of the mixture, as a share of the all-3x3 cell's; 0 leaves it
    out. With epsilon, the weight of what exceeds the budget; 0 is automatic."""
    size_metric: str = "params"
    """Cost that size_weight weighs and that a front is over: params or flops."""
    max_params: float | None = None
    """Budget of epsilon: parameters of the stand-alone network (C=16, N=5), for instance 0.8M."""
    max_flops: float | None = None
    """Budget of epsilon: multiply-adds of the stand-alone network, for instance 120M."""
    front_queries: int = 150
    """Cells that pareto scores with inherited weights to find the front."""
    front_baseline: bool = False
    """Whether pareto also scores as many random cells, and as many of NSGA-II without the cells
    that alpha proposes: three times the scoring."""

    epochs: int = 50
    """Passes over the weight half of the training images."""
    warmup_epochs: int = 0
    """First epochs that train the weights on clean images and leave alpha alone."""
    batch_size: int = 64
    """Images per step, for the weights and again for alpha."""
    lr: float = 0.025
    """Learning rate of the weights (SGD with Nesterov momentum), cosine to lr_min."""
    lr_min: float = 0.001
    """Learning rate of the weights at the end."""
    momentum: float = 0.9
    """Momentum of the weights' SGD."""
    weight_decay: float = 5e-4
    """Weight decay of the weights."""
    grad_clip: float = 5.0
    """Largest norm of the weights' gradient."""
    clean_share: float = 0.0
    """Share of the clean loss in the weights' loss of a robust search; 0 trains on attacked images
    alone, as the benchmark does."""
    path_share: float = 0.0
    """Share of weight steps that train one random cell instead of the mixture, so that single cells
    can be scored with inherited weights. A cell costs about a third of the mixture."""
    path_kind: str = "alpha"
    """What those steps train: alpha, a cell drawn from alpha's edge weights; uniform, a connected
    cell drawn evenly; sandwich, the mixture, such a cell and the argmax cell, their mean loss."""
    distill: float = 0.0
    """Weight of KL(mixture || cell) in a single cell's loss, of their predictions on the images
    that the cell is trained with; the mixture is the teacher and held fixed. 0 leaves it out."""
    alpha_lr: float = 3e-4
    """Learning rate of alpha (Adam, betas 0.5 and 0.999)."""
    alpha_weight_decay: float = 1e-3
    """Weight decay of alpha, part of the gradient."""
    beta_decay: float = 0.0
    """Strength of decoupled beta-decay at the end of the search; it grows linearly from 0. For
    drnas it pulls by the softmax of alpha, which is not the mean of that Dirichlet."""

    weight_attack: str = "pgd"
    """Attack that the weights are trained with: fgsm, fgsm_rs, n_fgsm, pgd."""
    alpha_attack: str | None = None
    """Attack that alpha is judged by. Automatic is the weights' attack."""
    attack_steps: int = 7
    """Steps of PGD in both; the single-step attacks take one."""
    attack_dtype: str = "float32"
    """Arithmetic of attacks on weights and alpha: float32, or bfloat16, faster on a GPU; attacks
    use no more than the signs of gradients. Training and measurements stay in float32."""
    eps: float | None = None
    """L-inf radius in the pixel range [0, 1]. Automatic is the data set's: 8/255, digits 32/255."""
    probe_steps: int = 10
    """Steps of the PGD that measures robust accuracy on the alpha half after each epoch."""
    probe_images: int = 512
    """Images of the alpha half that are evaluated after each epoch."""

    derive_by: str = "alpha"
    """Where the strongest operators are read: alpha (its edge weights), gains (how fast the
    clean loss falls as an operator gains weight in the even mixture, measured at the end), or
    inner_gains (without the network's last cell). The last two report all three."""
    derive_score: bool = False
    """Score the most probable cells with inherited weights and choose the best, instead of taking
    the strongest operator of each edge. All answers are reported."""
    derive_candidates: int = 32
    """Cells that are scored."""
    derive_images: int = 512
    """Images of the alpha half on which they are scored, clean and under the probe attack."""
    derive_none: bool = False
    """Whether a derived cell may hold the operator none."""

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
        _choose("bn-statistics", self.bn_statistics, ("running", "batch"))
        _choose("size-metric", self.size_metric, ("params", "flops"))
        _choose("impl", self.impl, IMPL_NAMES)
        _choose("derive-by", self.derive_by, ("alpha", "gains", "inner_gains"))
        _choose("path-kind", self.path_kind, PATH_KINDS)
        _choose("attack-dtype", self.attack_dtype, ATTACK_DTYPES)
        attacks = ATTACK_NAMES
        _choose("weight-attack", self.weight_attack, attacks)
        _choose("alpha-attack", self.alpha_attack or self.weight_attack, attacks)
        if self.objective is not None:
            _choose("objective", self.objective, OBJECTIVE_NAMES)
            if self.objective != "clean" and not self.robust:
                raise UserError(f"objective '{self.objective}' needs --robust")
        self._check_budget()
        self._check_front()
        for name in ("C", "N", "shrink", "epochs", "batch_size", "attack_steps", "probe_steps",
                     "probe_images", "derive_candidates", "derive_images",
                     "front_queries"):  # fmt: skip
            _check(name, getattr(self, name) >= 1, getattr(self, name), "at least 1")
        for name in ("robust_weight", "clean_share", "path_share"):
            _check(name, 0 <= getattr(self, name) <= 1, getattr(self, name), "between 0 and 1")
        for name in ("lr", "alpha_lr", "grad_clip"):
            _check(name, getattr(self, name) > 0, getattr(self, name), "positive")
        for name in ("lr_min", "momentum", "weight_decay", "alpha_weight_decay", "beta_decay",
                     "size_weight", "distill", "seed"):  # fmt: skip
            _check(name, getattr(self, name) >= 0, getattr(self, name), "0 or more")
        _check(
            "warmup_epochs",
            0 <= self.warmup_epochs < self.epochs,
            self.warmup_epochs,
            f"from 0 to epochs - 1 = {self.epochs - 1}",
        )
        if self.path_share == 0 and (self.path_kind != "alpha" or self.distill > 0):
            raise UserError(
                "path-kind and distill are of steps that train single cells; give --path-share"
            )
        for epoch in self.keep_epochs:
            _check("keep_epochs", 1 <= epoch <= self.epochs, epoch, f"from 1 to {self.epochs}")
        if self.eps is not None:
            _check("eps", 0 < self.eps <= 1, self.eps, "above 0 and at most 1 (write 8/255)")
        if self.limit is not None:
            _check("limit", self.limit >= 1, self.limit, "at least 1")

    def _check_front(self) -> None:
        if self.objective in FRONT_OBJECTIVES and self.size_weight > 0:
            raise UserError(
                f"size is an objective of {self.objective} itself; leave --size-weight out"
            )
        if self.front_baseline and self.objective not in FRONT_OBJECTIVES:
            raise UserError(
                f"--front-baseline needs a front: --objective {' or '.join(FRONT_OBJECTIVES)}"
            )

    def _check_budget(self) -> None:
        given = [name for name in ("params", "flops") if getattr(self, f"max_{name}") is not None]
        if self.objective == "epsilon" and len(given) != 1:
            raise UserError(
                f"objective 'epsilon' needs one budget, not {len(given)}; give either --max-params "
                "or --max-flops, for instance --max-params 0.8M"
            )
        if given and self.objective != "epsilon":
            raise UserError(f"--max-{given[0]} is a budget; it goes with --objective epsilon alone")

    @property
    def budget(self) -> tuple[str, float] | None:
        """(params or flops, most of it that a cell may have); None where nothing limits it."""
        given = {"params": self.max_params, "flops": self.max_flops}
        return next(((name, most) for name, most in given.items() if most is not None), None)

    @property
    def objective_name(self) -> str:
        """The objective with "automatic" resolved."""
        return self.objective or ("weighted" if self.robust else "clean")

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
        weight_attack="n_fgsm", beta_decay=10.0, path_share=0.5, derive_score=True,
        derive_candidates=8,
    )  # fmt: skip


def _cpu() -> dict[str, Any]:
    """CIFAR-sized images on two CPU cores: the benchmark's width, one cell per stage, half the side
    and half its radius; alpha follows the clean loss of adversarially trained weights."""
    # In 1,500 steps at 8/255 the network is underfitted and pooling wins; under attack alpha
    # prefers what amplifies least (skip, pool) long before the weights can defend a 3x3.
    return dict(
        C=16, N=1, shrink=2, epochs=4, warmup_epochs=1, batch_size=64, lr=0.05, alpha_lr=3e-3,
        limit=50_000, weight_attack="n_fgsm", eps=4 / 255, objective="clean", beta_decay=100.0,
        path_share=0.5, derive_by="gains",
    )  # fmt: skip


def _gpu() -> dict[str, Any]:
    """The benchmark's own skeleton and attack, for one GPU."""
    # Beta-decay and the way the cell is read are the `cpu` preset's, where both objectives end
    # with cells as good; at this size they are still to be measured.
    return dict(
        C=16, N=5, epochs=50, warmup_epochs=2, batch_size=256, lr=0.1, alpha_lr=3e-3,
        weight_attack="pgd", attack_dtype="bfloat16", beta_decay=100.0, path_share=0.5,
        derive_by="gains", derive_images=2048, probe_images=2048,
    )  # fmt: skip


def _darts() -> dict[str, Any]:
    """The published DARTS settings on this space, with nothing of ours: the baseline."""
    return dict(derive_none=True)


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
