"""The configuration of a ranking. No torch."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.benchmark.table import DATASETS
from supernet.errors import UserError
from supernet.on_ray import check_workers
from supernet.runs.folder import plain, read_description
from supernet.search.config import SearchConfig
from supernet.settings import ATTACK_NAMES, check_settings, from_saved, setting

DEFAULT_PROXIES = (
    "gradnorm", "snip", "grasp", "fisher", "synflow", "jacob_cov", "naswot", "az_expressivity",
    "az_progressivity", "az_trainability", "croze", "croze_released",
)  # fmt: skip
FREE_FIELDS = (
    "columns", "combine", "benchmark", "verify", "processes", "workers", "bootstrap", "out",
    "data_root", "ntk_memory", "shipped",
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

    proxies: tuple[str, ...] | None = setting(None, group="scores")
    """Scores, comma-separated: names of `supernet.proxies.registry`, with robust_ before them on
    attacked images, or ntk for all kernel scores. Automatic is all clean scores, or none with
    --supernet."""
    shipped: bool = setting(False, group="scores")
    """Judge the scores that ship with this program instead of scoring cells: no image is read."""
    supernet: str | None = setting(None, group="scores")
    """Run directory of a search: cells are scored with its trained weights, clean and under attack,
    by accuracy (supernet_clean, supernet_robust) and mean cross-entropy (the same with _loss), and
    by the sum of their operators' gains (supernet_gains, or supernet_gains_inner without the last
    cell of the network)."""
    epoch: int | None = setting(None, least=1, group="scores")
    """Take the weights that the search kept after this epoch (its --keep-epochs). Automatic is its
    last checkpoint."""
    cells: int = setting(300, least=0, group="cells")
    """Cells drawn at random from the 6,466; 0 scores them all."""
    top_cells: int = setting(0, least=0, group="cells")
    """Further cells drawn from the best 10 % by top_column, to judge the order among good cells."""
    top_column: str = setting("pgd_8", group="cells")
    """Column by which top_cells are chosen."""
    dataset: str = setting("cifar10", group="images")
    """Images: digits, cifar10, cifar100, imagenet16-120, folder:PATH or pack:PATH. With --supernet
    the run's own images are used."""
    data_root: str | None = setting(None, group="images")
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    batch: int = setting(16, least=2, group="images")
    """Training images of the one batch that all cells are scored on, balanced over classes."""
    images: int = setting(512, least=1, group="images")
    """Held-out images (of the search's alpha half) for --supernet."""
    C: int = setting(16, least=1, most=4096, group="network")
    """Channels of the first stage for training-free scores; the benchmark's networks have 16."""
    N: int = setting(5, least=1, most=1000, group="network")
    """Cells per stage for training-free scores; the benchmark's networks have 5."""
    repeats: int = setting(1, least=1, group="scores")
    """Random initialisations over which a score is averaged."""
    attack: str | None = setting(None, choices=ATTACK_NAMES, group="attack")
    """Attack of robust scores. Automatic is fgsm for training-free scores and pgd for
    --supernet."""
    steps: int = setting(10, least=1, group="attack")
    """Steps of pgd."""
    eps: float | None = setting(None, least=0, most=1, group="attack", hint="8/255")
    """L-inf radius in the pixel range [0, 1]. Automatic is that of the search with --supernet, else
    the data set's: 8/255, digits 32/255."""
    beta: float = setting(0.5, least=0, most=1, group="kernels")
    """Share of the robust loss in the mixed kernels of ntk."""
    ntk_outputs: str = setting("sum", choices=NTK_OUTPUTS, group="kernels")
    """Function whose kernels ntk takes: sum (of the logits, one gradient per image) or trace (the
    kernels of all classes summed, a gradient per image and class)."""
    ntk_sketches: int = setting(0, least=0, group="kernels")
    """With ntk-outputs trace, estimate it from so many random projections; 0 is exact."""
    ntk_memory: int = setting(1024, least=1, group="kernels")
    """MiB that the Jacobians of ntk may take in each process."""
    columns: tuple[str, ...] = setting(("clean", "pgd_8"), group="judgement")
    """Columns of the benchmark to correlate with; cifar100:pgd_8 is one of another data set, and
    standard:NAME one of the table of standard-trained, attacked networks (clean, fgsm, pgd,
    aa_apgd-ce, aa_square, corr)."""
    combine: tuple[str, ...] = setting((), group="judgement")
    """Further rows, each the mean rank of several scores, as supernet_clean_loss+parameters."""
    verify: bool = setting(True, group="judgement")
    """Whether tables must have their published hash; turn it off for a table of your own."""
    benchmark: str | None = setting(None, group="judgement")
    """Data set of the columns. Automatic is that of the images, or cifar10."""
    processes: int = setting(1, least=1, most=1024, group="run")
    """Worker processes, one network and one thread each. The scores do not depend on it."""
    workers: str = setting("processes", group="run")
    """What the worker processes are: processes, or ray (extra sweep), which scores a cell again
    whose process was killed; ray:auto and ray:HOST:PORT are clusters that run."""
    bootstrap: int = setting(1000, least=0, group="judgement")
    """Resamples behind each confidence interval."""
    seed: int = setting(0, least=0, group="run")
    """Seed of the sample of cells, the batch and every initialisation."""
    device: str = setting("auto", group="run")
    """auto, cpu, cuda or cuda:N. A CUDA device takes one process."""
    out: str | None = setting(None, group="run")
    """Folder of the ranking. Automatic is runs/rank-DATASET-CELLS[-epochE]-seedN."""

    def __post_init__(self) -> None:
        check_settings(self)
        check_workers(self.workers)
        if self.ntk_sketches and self.ntk_outputs != "trace":
            raise UserError("--ntk-sketches estimate the trace; give --ntk-outputs trace")
        if self.epoch is not None and self.supernet is None:
            raise UserError("--epoch is one of a search; name it with --supernet")
        if self.shipped and (self.proxies or self.supernet):
            raise UserError(
                "--shipped takes scores that are there; leave --proxies and --supernet out"
            )
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
        return self.benchmark or (self.dataset if self.dataset in DATASETS else "cifar10")

    @property
    def folder(self) -> str:
        """Where the ranking lies."""
        if self.out is not None:
            return self.out
        count = self.cells or "all"
        epoch = "" if self.epoch is None else f"-epoch{self.epoch}"
        return f"runs/rank-{plain(self.dataset)}-{count}{epoch}-seed{self.seed}"

    def fixed(self) -> dict[str, Any]:
        """The fields that scores depend on, for JSON."""
        values = dataclasses.asdict(self) | {"proxies": list(self.proxy_names)}
        return {name: v for name, v in values.items() if name not in FREE_FIELDS}


def located(config: RankConfig) -> RankConfig:
    """The config with the benchmark and the folder that follow from the supernet's own images.

    Raises: UserError when `supernet` is not a run directory, or of another version.
    """
    if config.supernet is None:
        return config
    its = dataclasses.replace(config, dataset=search_config(Path(config.supernet)).dataset)
    return dataclasses.replace(config, benchmark=its.benchmark_dataset, out=its.folder)


def search_config(folder: Path) -> SearchConfig:
    """The config of the search in a run directory.

    Raises: UserError when it is not one, or of another version.
    """
    saved = read_description(folder, "search")["config"]
    return from_saved(SearchConfig, saved, folder / "config.json")


def lower_is_better(name: str) -> bool:
    """Whether less of a score means a better cell."""
    from supernet.proxies.registry import LOWER_IS_BETTER  # imports torch

    return name in LOWER_IS_BETTER or name in SUPERNET_LOSSES
