"""What a study of short trainings trains. No torch."""

from dataclasses import dataclass
from typing import Any

from supernet.benchmark.table import DATASETS
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.search.config import SearchConfig
from supernet.search.presets import with_preset
from supernet.settings import TRAIN_ATTACKS, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A cell and all its neighbours, each trained in every setting, as a search with the `cpu`
    preset trains them."""

    start: str = setting("333333", group="cells")
    """Code of the cell."""

    dataset: str = setting("cifar10", choices=DATASETS, group="images")
    """Images, which the benchmark must know."""
    data_root: str | None = setting(None, group="images")
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    limit: int | None = setting(50_000, least=1, none="all", group="images")
    """Use at most this many training images, class by class as evenly as they come."""
    shrink: int = setting(2, least=1, group="images")
    """Train on images smaller by this factor."""

    steps: tuple[int, ...] = setting((50, 100, 200), least=1, group="trainings")
    """Lengths of the trainings, rising; each has luck of its own."""
    attacks: tuple[str, ...] = setting(("none",), choices=TRAIN_ATTACKS, group="trainings")
    """Attacks of the training images; none trains on clean ones."""
    seeds: tuple[int, ...] = setting((0, 1), least=0, group="trainings")
    """Seeds; each divides the images anew, as a search does."""

    processes: int | None = setting(None, least=1, most=1024, group="run")
    """Trainings at a time. Automatic is one for each core."""
    out: str = setting("runs/trainings", group="run")
    """Folder to write to. One that has some of the trainings keeps them."""

    def __post_init__(self) -> None:
        check_settings(self)
        for flag, values in (
            ("steps", self.steps), ("attacks", self.attacks), ("seeds", self.seeds)
        ):  # fmt: skip
            if not values or len(set(values)) < len(values):
                raise UserError(f"--{flag} needs one or more values, each once")
        if list(self.steps) != sorted(self.steps):
            raise UserError("--steps must rise, as the rounds of a refinement do")
        Genotype.parse(self.start)

    @property
    def search(self) -> SearchConfig:
        """The search whose images, batches and steps these are; the seed is left to the study."""
        given = {"dataset": self.dataset, "data_root": self.data_root, "limit": self.limit}
        return with_preset("cpu", {**given, "shrink": self.shrink}, cuda=False)

    @property
    def images(self) -> dict[str, Any]:
        """What the ledger of the trainings does not say of them."""
        return {
            "dataset": self.dataset, "limit": self.limit, "shrink": self.shrink,
            "steps": list(self.steps),
        }  # fmt: skip
