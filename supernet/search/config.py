"""The configuration of a search: one frozen dataclass, its presets, and its hash."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from supernet.benchmark.judged_by import other_datasets
from supernet.benchmark.table import DATASETS
from supernet.errors import UserError
from supernet.on_ray import check_workers
from supernet.settings import (
    ATTACK_NAMES,
    TRAIN_ATTACKS,
    TRAIN_DTYPES,
    check_settings,
    setting,
    setting_of,
    without_place,
)

OBJECTIVE_NAMES = ("weighted", "mgda")
STRATEGY_NAMES = ("darts", "darts2", "drnas", "gdas")
PATH_KINDS = ("alpha", "sandwich")
GUIDES = ("alpha", "gains", "inner_gains")
"""What the strongest operators can be read from."""
PRIORS = ("none", "tables", *DATASETS)
"""What a prior is made of: nothing, every data set of the benchmark but the search's own, or these
data sets."""
PROPOSALS = ("supernet", "free", "prior", "random")
"""What the refinement can start from, besides cells by their codes."""
ATTACK_DTYPES = ("auto", "float32", "bfloat16")
IMPL_NAMES = ("auto", "reference", "batched", "native")

WHERE_FIELDS = (
    "out", "data_root", "val", "keep_epochs", "processes", "workers", "finalists",
    "finalist_steps",
)  # fmt: skip
"""Fields that do not change the result (places, what to keep, what to check it by). The hash
leaves them out, and a resumed run may change them."""
MACHINE_FIELDS = ("device", "impl")
"""Fields that change how sums are rounded; a resumed run may name others."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search depends on. Each field is a command-line flag of scripts/search.py."""

    dataset: str = setting("digits", group="images")
    """Images: digits, cifar10, cifar100, imagenet16-120, folder:PATH (a subfolder per
    class) or pack:FILE."""
    data_root: str | None = setting(None, group="images")
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    limit: int | None = setting(None, least=1, hint="5000", none="all", group="images")
    """Use at most this many training images, class by class as evenly as they come."""
    side: int | None = setting(None, least=1, hint="32", group="images")
    """Side in pixels that the pictures of folder:PATH are resized to. Automatic is 16, 32 or (on a
    GPU) 64, the largest that is not above the median shorter side of the pictures."""
    val: str | None = setting(None, group="images", none="the folder's own")
    """Folder with the held-out pictures of folder:PATH, a subfolder for each of its classes. The
    folder's own are its test or val split, else a fifth of each class."""
    balance: bool = setting(False, group="images")
    """Train with the classes equally often: pictures of a rare class come several times an epoch,
    each time cropped, mirrored and attacked anew; so do the short trainings, whose held-out
    pictures then count equally by class."""
    shrink: int = setting(1, least=1, group="images")
    """Search on images smaller by this factor, each pixel the mean of shrink x shrink: with 2 a
    step takes a quarter of the time. The cell that is found is trained alone at full size."""

    C: int = setting(16, least=1, most=4096, group="network")
    """Channels of the first stage; the others have 2C and 4C. The benchmark's networks have 16."""
    N: int = setting(5, least=1, most=1000, group="network")
    """Cells per stage. The benchmark's networks have 5."""

    robust: bool = setting(False, group="search")
    """Train the weights on attacked images and judge cells by their robustness. Without it the
    search is for clean accuracy alone."""
    strategy: str = setting("darts", choices=STRATEGY_NAMES, group="search")
    """How alpha becomes edge weights; darts2 is second-order DARTS."""
    objective: str = setting("weighted", choices=OBJECTIVE_NAMES, group="search")
    """How a robust search weighs alpha's clean and robust loss: weighted (by robust-weight), or
    mgda (the step of least norm, which raises neither)."""
    robust_weight: float = setting(0.5, least=0, most=1, group="search")
    """Share of the robust loss in what alpha follows: 0 is the clean loss alone (of weights that
    are trained on attacked images), 1 the robust loss alone. Weighted robust searches only."""
    epochs: int = setting(50, least=0, group="search")
    """Passes over the weight half of the training images; 0 trains no supernet: proposals come from
    scores that need no training, and from the prior. Within a budget that is the default, unless
    --proposals says who competes: there the supernet would change nothing."""
    warmup_epochs: int = setting(0, least=0, group="search")
    """First epochs that train the weights on clean images and leave alpha alone."""
    alpha_lr: float = setting(3e-4, above=0, group="search")
    """Learning rate of alpha (Adam, betas 0.5 and 0.999)."""
    beta_decay: float = setting(0.0, least=0, group="search")
    """Strength of decoupled beta-decay at the end of the search; it grows linearly from 0. For
    drnas it pulls by the softmax of alpha, which is not the mean of that Dirichlet."""

    batch_size: int = setting(64, least=1, group="weights")
    """Images per step, for the weights and again for alpha; under torchrun of each process."""
    lr: float = setting(0.025, above=0, group="weights")
    """Learning rate of the weights (SGD with Nesterov momentum), falling by a cosine to 0.001."""
    sync_batch_norm: bool = setting(True, group="weights")
    """Under torchrun: batch norm normalises with the images of all processes, so that their number
    does not matter. Without it each takes its own images, and native kernels where built."""
    train_dtype: str = setting("float32", choices=TRAIN_DTYPES, group="weights")
    """What convolutions take when weights and alpha are trained; bfloat16 is faster where the CPU
    or GPU multiplies it. Weights, statistics, optimisers and measurements stay float32."""
    path_share: float = setting(0.0, least=0, most=1, group="weights")
    """Share of weight steps that train one random cell instead of the mixture. A cell costs about a
    third of the mixture."""
    path_kind: str = setting("alpha", choices=PATH_KINDS, group="weights")
    """What those steps train: alpha, a cell drawn from alpha's edge weights; sandwich, the mixture,
    an evenly drawn connected cell and the argmax cell, by their mean loss."""

    attack: str = setting("pgd", choices=ATTACK_NAMES, group="attack")
    """Attack of a robust search on the images of weights and alpha."""
    attack_steps: int = setting(7, least=1, group="attack")
    """Steps of PGD; the single-step attacks take one."""
    attack_dtype: str = setting("auto", choices=ATTACK_DTYPES, group="attack")
    """Arithmetic of these attacks: float32, or bfloat16, which suffices for the signs of gradients;
    automatic is bfloat16 where the CPU or GPU multiplies it. Measurements stay float32."""
    eps: float | None = setting(None, above=0, most=1, hint="8/255", group="attack")
    """L-inf radius in the pixel range [0, 1]. Automatic is the data set's: 8/255, digits 32/255."""

    derive_by: str = setting("gains", choices=GUIDES, group="answer")
    """What the supernet's cell is read from: gains (how fast the clean loss falls as an operator
    gains weight in the even mixture, measured at the end), inner_gains (without the network's last
    cell) or alpha (its edge weights). The report shows all three."""
    derive_none: bool | None = setting(None, group="answer", none="within a budget, else not")
    """Whether the answer may hold the operator none: a small cell is better with fewer edges. A
    cell that is read from a supernet holds it only where this is on."""
    prior: tuple[str, ...] | None = setting(
        None, choices=PRIORS, group="answer",
        none="tables for images that the benchmark does not know, else none",
    )  # fmt: skip
    """Whose results in the benchmark help to choose the cell: none, tables (all its data sets but
    the search's own), or data sets by name, for example cifar10,cifar100."""
    max_params: float | None = setting(None, above=0, hint="0.8M", none="no limit", group="answer")
    """Most parameters that the cell's own network (C=16, N=5) may have, for example 0.8M."""
    max_flops: float | None = setting(None, above=0, hint="120M", none="no limit", group="answer")
    """Most multiply-adds of the cell's own network for one image, for example 120M."""
    finalists: int = setting(0, least=0, group="answer")
    """At the end train so many of the best answers alone (C=16, N=5), next to all-3x3, the prior's
    best and random cells of the answer's size, and attack them: the check that needs no benchmark.
    A finished run takes it with --resume. 0 leaves it out."""
    finalist_steps: int = setting(200, least=1, group="answer")
    """Steps of 64 images that each finalist is trained for, three times with different seeds."""

    proposals: tuple[str, ...] | None = setting(
        None, group="refinement", none="supernet, free and, with a prior, prior; within a budget "
        "the best cell by free scores, or with a prior by both, is the answer as it is",
    )  # fmt: skip
    """Where the refinement starts: supernet (the cell by derive-by), free (the best by scores that
    need no training), prior (the best by prior and free scores together), random (a cell drawn by
    the seed), or cells by their six-digit codes."""
    refine_moves: int = setting(2, least=0, group="refinement")
    """Most changes that the proposed cell may go through, each the best of its neighbours by short
    stand-alone trainings; 0 takes the proposal as it is. Within a budget only with --proposals."""
    refine_steps: tuple[int, ...] = setting((50, 100, 200), least=1, group="refinement")
    """Steps of these trainings, a number for each round: every round trains the best third of the
    one before anew."""
    refine_attack: str = setting("none", choices=TRAIN_ATTACKS, group="refinement")
    """Attack of these trainings, whose loss under PGD then decides; with none the clean loss."""
    processes: int | None = setting(None, least=1, most=1024, group="refinement")
    """Trainings at a time, each with one thread on a CPU. Automatic is the number of CPU cores, or
    4 on a GPU. The outcome does not depend on it."""
    workers: str = setting("processes", group="refinement")
    """What makes these trainings and those of finalists: processes, or ray (extra sweep), which
    repeats one whose process was killed; ray:auto and ray:HOST:PORT are clusters that run."""

    probe_images: int = setting(512, least=1, group="run")
    """Images of the alpha half that are evaluated after each epoch."""
    keep_epochs: tuple[int, ...] = setting((), least=1, group="run")
    """Epochs after which weights and alpha are kept as epoch-0004.pt, for rank.py --epoch 4."""
    seed: int = setting(0, least=0, group="run")
    """Seed of everything random."""
    device: str = setting("auto", group="run")
    """auto, cpu, cuda or cuda:N."""
    impl: str = setting("auto", choices=IMPL_NAMES, group="run")
    """How the mixed cell is computed: reference, batched (PyTorch), native (compiled); automatic
    is native where it is built, else batched."""
    out: str | None = setting(None, group="run")
    """Run directory. Automatic is runs/search-DATASET-STRATEGY-seedN, with a number if taken."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.epochs and self.warmup_epochs >= self.epochs:
            raise UserError(
                f"--warmup-epochs is {self.warmup_epochs}; it must be below --epochs {self.epochs}"
            )
        if self.path_share == 0 and self.path_kind != "alpha":
            raise UserError("--path-kind needs --path-share above 0")
        if self.objective == "mgda" and not self.robust:
            raise UserError("--objective mgda weighs two losses; it needs --robust")
        if not self.refine_steps:
            raise UserError("--refine-steps is empty; write 50,100,200, or --refine-moves 0")
        check_workers(self.workers)
        self._check_prior()
        self._check_proposals()
        for epoch in self.keep_epochs:
            if epoch > self.epochs:
                raise UserError(
                    f"--keep-epochs is {epoch}; it must be at most --epochs {self.epochs}"
                )

    def _check_prior(self) -> None:
        given = self.prior if self.prior is not None else ("none",)
        shown = f"--prior is '{','.join(given)}'"
        if not given or len(set(given)) < len(given):
            raise UserError(f"{shown}; name one or more data sets, each once, or write none")
        if len(given) > 1 and not set(given) <= set(DATASETS):
            raise UserError(f"{shown}; none and tables stand alone, data sets may be several")
        if self.dataset in given:
            raise UserError(
                f"{shown}, and the search is on {self.dataset} itself, whose results would be the "
                "answer; --prior tables takes the others"
            )

    def _check_proposals(self) -> None:
        if self.proposals == ():
            raise UserError("--proposals is empty; leave it out, or write free or a cell's code")
        for name in self.proposals or ():
            if name not in PROPOSALS and not re.fullmatch("[0-4]{6}", name):
                raise UserError(
                    f"--proposals has '{name}'; choose {', '.join(PROPOSALS)}, or write cells as "
                    "six-digit codes"
                )
            if name == "supernet" and not self.epochs:
                raise UserError("--proposals supernet needs one; give --epochs above 0")
            if name == "prior" and not self.prior_datasets:
                raise UserError("--proposals prior needs one; give --prior tables")

    @property
    def named_cells(self) -> tuple[str, ...]:
        """The codes among the proposals."""
        return tuple(name for name in self.proposals or () if name not in PROPOSALS)

    @property
    def proposed_by(self) -> tuple[str, ...]:
        """Where the refinement starts."""
        if self.proposals is not None:
            return self.proposals
        if not self.refines:
            return ("prior",) if self.prior_datasets else ("free",)
        supernet = ("supernet",) if self.epochs else ()
        return (*supernet, "free", *(("prior",) if self.prior_datasets else ()))

    @property
    def refines(self) -> bool:
        """Whether short trainings decide. Within a budget they do only where the user says what
        they start from: among small cells of like score those that learn fastest are not the best,
        and what trainings choose is hardly better than the first by free scores, for minutes
        instead of seconds (docs/results/proposals)."""
        return self.proposals is not None or not self.budgets

    @property
    def moves(self) -> int:
        """Most changes that the proposed cell goes through."""
        return self.refine_moves if self.refines else 0

    @property
    def prior_datasets(self) -> tuple[str, ...]:
        """The data sets of the benchmark that help to choose the cell; none without a prior."""
        prior = self.prior
        if prior is None:
            prior = ("none",) if self.dataset in DATASETS else ("tables",)
        if prior == ("none",):
            return ()
        return other_datasets(self.dataset) if prior == ("tables",) else prior

    @property
    def budgets(self) -> dict[str, float]:
        """The most of params and flops that a cell may have; empty where nothing limits it."""
        given = {"params": self.max_params, "flops": self.max_flops}
        return {name: most for name, most in given.items() if most is not None}

    @property
    def reads_none(self) -> bool:
        """Whether a cell that is read from the supernet may hold the operator none."""
        return bool(self.derive_none)

    @property
    def allows_none(self) -> bool:
        """Whether the answer may hold the operator none."""
        return bool(self.budgets) if self.derive_none is None else self.derive_none

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
        """Twelve hexadecimal digits that two runs share when all that matters is equal, but for
        the place of pictures: folder:PATH counts as folder:, and PATH may move."""
        what = {name: without_place(value) for name, value in self.what().items()}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    def what(self) -> dict[str, Any]:
        """The fields that determine the result (WHERE_FIELDS left out)."""
        return {name: v for name, v in self.to_dict().items() if name not in WHERE_FIELDS}


ANSWER_FIELDS = tuple(
    field.name for field in dataclasses.fields(SearchConfig)
    if setting_of(field).group in ("answer", "refinement")
)  # fmt: skip
"""Fields that a trained supernet does not depend on: it can answer again with others."""
