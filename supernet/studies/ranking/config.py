"""What a ranking depends on. No torch."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import read_json
from supernet.runs.folder import plain
from supernet.search.config import ATTACK_NAMES

DEFAULT_PROXIES = (
    "gradnorm", "snip", "grasp", "fisher", "synflow", "jacob_cov", "naswot", "croze",
    "croze_released",
)  # fmt: skip
FREE_FIELDS = (
    "columns", "combine", "benchmark", "verify", "processes", "bootstrap", "out", "data_root",
    "ntk_memory",
)  # fmt: skip
"""Fields that change no score: a ranking may go on with other ones."""
NTK_OUTPUTS = ("sum", "trace")
SUPERNET_LOSSES = {"supernet_robust_loss": "robust loss", "supernet_clean_loss": "clean loss"}
SUPERNET_GAINS = {
    "supernet_gains": "gains", "supernet_gains_inner": "gains without the last cell",
}  # fmt: skip
SUPERNET_SCORES = {
    **SUPERNET_LOSSES, "supernet_robust": "robust accuracy", "supernet_clean": "clean accuracy",
    **SUPERNET_GAINS,
}  # fmt: skip
"""Scores with a supernet's weights, in words. Of a loss less is better."""


@dataclass(frozen=True, kw_only=True)
class RankConfig:
    """Everything a ranking depends on. Each field is a command-line flag of scripts/rank.py."""

    proxies: tuple[str, ...] | None = None
    """Scores, comma-separated: names of `supernet.proxies`, with robust_ before them on attacked
    images, or ntk for all kernel scores. Automatic is all clean scores, or none with --supernet."""
    supernet: str | None = None
    """Run directory of a search: cells are scored with its trained weights, clean and under attack,
    by accuracy (supernet_clean, supernet_robust) and mean cross-entropy (the same with _loss), and
    by the sum of their operators' gains (supernet_gains, or supernet_gains_inner without the last
    cell of the network)."""
    epoch: int | None = None
    """Take the weights that the search kept after this epoch (its --keep-epochs). Automatic is its
    last checkpoint."""
    cells: int = 300
    """Cells drawn at random from the 6,466; 0 scores them all."""
    top_cells: int = 0
    """Further cells drawn from the best 10 % by top_column, to judge the order among good cells."""
    top_column: str = "pgd_8"
    """Column by which top_cells are chosen."""
    dataset: str = "cifar10"
    """Images: digits, cifar10, cifar100, imagenet16-120, folder:PATH or pack:PATH. With --supernet
    the run's own images are used."""
    data_root: str | None = None
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    batch: int = 16
    """Training images of the one batch that all cells are scored on, balanced over classes."""
    images: int = 512
    """Held-out images (of the search's alpha half) for --supernet."""
    C: int = 16
    """Channels of the first stage for training-free scores; the benchmark's networks have 16."""
    N: int = 5
    """Cells per stage for training-free scores; the benchmark's networks have 5."""
    repeats: int = 1
    """Random initialisations over which a score is averaged."""
    attack: str | None = None
    """Attack of robust scores: fgsm, fgsm_rs, n_fgsm, pgd. Automatic is fgsm for training-free
    scores and pgd for --supernet."""
    steps: int = 10
    """Steps of pgd."""
    eps: float | None = None
    """L-inf radius in the pixel range [0, 1]. Automatic is that of the search with --supernet, else
    the data set's: 8/255, digits 32/255."""
    beta: float = 0.5
    """Share of the robust loss in the mixed kernels of ntk."""
    ntk_outputs: str = "sum"
    """Function whose kernels ntk takes: sum (of the logits, one gradient per image) or trace (the
    kernels of all classes summed, a gradient per image and class)."""
    ntk_sketches: int = 0
    """With ntk-outputs trace, estimate it from so many random projections; 0 is exact."""
    ntk_memory: int = 1024
    """MiB that the Jacobians of ntk may take in each process."""
    columns: tuple[str, ...] = ("clean", "pgd_8")
    """Columns of the benchmark to correlate with; standard:NAME is one of the table of
    standard-trained, attacked networks (clean, fgsm, pgd, aa_apgd-ce, aa_square, corr)."""
    combine: tuple[str, ...] = ()
    """Further rows, each the mean rank of several scores, as supernet_clean_loss+parameters."""
    verify: bool = True
    """Whether tables must have their published hash; turn it off for a table of your own."""
    benchmark: str | None = None
    """Data set of the columns. Automatic is that of the images, or cifar10."""
    processes: int = 1
    """Worker processes, one network and one thread each. The scores do not depend on it."""
    bootstrap: int = 1000
    """Resamples behind each confidence interval."""
    seed: int = 0
    """Seed of the sample of cells, the batch and every initialisation."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N. A CUDA device takes one process."""
    out: str | None = None
    """Folder of the ranking. Automatic is runs/rank-DATASET-CELLS[-epochE]-seedN."""

    def __post_init__(self) -> None:
        for name, least in (
            ("cells", 0), ("top_cells", 0), ("batch", 2), ("images", 1), ("C", 1), ("N", 1),
            ("repeats", 1), ("steps", 1), ("processes", 1), ("bootstrap", 0), ("seed", 0),
            ("ntk_sketches", 0), ("ntk_memory", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.beta <= 1:
            raise UserError(f"--beta must lie between 0 and 1, not {self.beta}")
        if self.eps is not None and not 0 <= self.eps <= 1:
            raise UserError(f"--eps is in the pixel range [0, 1], such as 8/255, not {self.eps}")
        if self.attack is not None and self.attack not in ATTACK_NAMES:
            raise UserError(
                f"unknown attack {self.attack!r}; choose one of {', '.join(ATTACK_NAMES)}"
            )
        if self.ntk_outputs not in NTK_OUTPUTS:
            raise UserError(
                f"--ntk-outputs {self.ntk_outputs!r} is unknown; choose {' or '.join(NTK_OUTPUTS)}"
            )
        if self.ntk_sketches and self.ntk_outputs != "trace":
            raise UserError("--ntk-sketches estimate the trace; give --ntk-outputs trace")
        if self.epoch is not None and self.supernet is None:
            raise UserError("--epoch is one of a search; name it with --supernet")
        if not self.columns:
            raise UserError("--columns is empty; name a column such as pgd_8")

    @property
    def proxy_names(self) -> tuple[str, ...]:
        """The training-free scores asked for."""
        if self.proxies is None:
            return () if self.supernet else DEFAULT_PROXIES
        return self.proxies

    @property
    def attack_name(self) -> str:
        return self.attack or ("pgd" if self.supernet else "fgsm")

    @property
    def benchmark_dataset(self) -> str:
        """The data set whose columns are the truth."""
        from supernet.benchmark.table import DATASETS

        dataset = self.images_dataset
        return self.benchmark or (dataset if dataset in DATASETS else "cifar10")

    @property
    def images_dataset(self) -> str:
        """The data set of the images: with `supernet` that of the search."""
        description = Path(self.supernet or "") / "config.json"
        if self.supernet is None or not description.is_file():
            return self.dataset
        return str(read_json(description)["config"]["dataset"])

    @property
    def folder(self) -> str:
        """Where the ranking lies."""
        if self.out is not None:
            return self.out
        count = self.cells or "all"
        dataset = plain(self.images_dataset)
        epoch = "" if self.epoch is None else f"-epoch{self.epoch}"
        return f"runs/rank-{dataset}-{count}{epoch}-seed{self.seed}"

    def fixed(self) -> dict[str, Any]:
        """The fields that scores depend on, for JSON."""
        values = dataclasses.asdict(self) | {"proxies": list(self.proxy_names)}
        return {name: v for name, v in values.items() if name not in FREE_FIELDS}


def lower_is_better(name: str) -> bool:
    """Whether less of a score means a better cell."""
    from supernet.proxies import LOWER_IS_BETTER  # imports torch

    return name in LOWER_IS_BETTER or name in SUPERNET_LOSSES
