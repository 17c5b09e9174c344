"""The configuration of a stand-alone training, and its presets. No torch here."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supernet.errors import UserError
from supernet.search.config import ATTACK_NAMES

TRAIN_ATTACKS = (*ATTACK_NAMES, "none")
WHERE_FIELDS = ("out", "data_root")
"""Fields that say where, not what: a resumed run may change them."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a stand-alone training depends on; the defaults are NAS-RobBench-201's recipe."""

    genotype: str | None = None
    """The cell: genotype.json of a search or its folder, FILE.json:N (cell N of a list, from 0),
    the string |op~0|+..., a six-digit code, or the published index. Needed for a new run."""
    dataset: str | None = None
    """Images: digits, cifar10, cifar100, imagenet16-120, folder:PATH or pack:FILE. Automatic is
    that of the genotype's file, else cifar10."""
    data_root: str | None = None
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    limit: int | None = None
    """Use at most this many training images, class by class as evenly as they come."""
    side: int | None = None
    """Side in pixels that the pictures of folder:PATH are resized to. Automatic is 32."""

    C: int = 16
    """Channels of the first stage; the others have 2C and 4C."""
    N: int = 5
    """Cells per stage."""

    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 256
    """Images per step; the last images of an epoch that fill no batch are left out of it."""
    lr: float = 0.1
    """Largest learning rate of the one-cycle schedule, which moves every step. Momentum cycles
    between 0.95 and 0.85 against it, as in the benchmark's code."""
    weight_decay: float = 5e-4
    """Weight decay of SGD."""
    attack: str = "pgd"
    """Attack of the training images: pgd, fgsm, fgsm_rs, n_fgsm, or none for clean training."""
    attack_steps: int = 7
    """Steps of PGD; the single-step attacks take one."""
    eps: float | None = None
    """L-inf radius in the pixel range [0, 1]. Automatic is the data set's: 8/255, digits 32/255."""
    step_size: float | None = None
    """Step of the attack in the pixel range. Automatic is eps/4 for pgd (2/255 at 8/255), and the
    attack's own for the others."""
    ema: bool = False
    """Keep an exponential moving average of the weights; it is then what is monitored and saved."""
    ema_decay: float = 0.999
    """Decay of the average per step; it grows to this from 0 in the first steps."""
    probe_images: int = 256
    """Test images whose accuracy is shown after each epoch, for people: nothing is chosen by it. 0
    leaves it out."""

    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    out: str | None = None
    """Run directory. Automatic is standalone/ in the search's folder where the genotype came from
    one, else runs/train-DATASET-CODE-seedN; with a number if taken."""

    def __post_init__(self) -> None:
        if self.attack not in TRAIN_ATTACKS:
            raise UserError(
                f"attack '{self.attack}' is unknown; choose one of {', '.join(TRAIN_ATTACKS)}"
            )
        for name, least in (("C", 1), ("N", 1), ("epochs", 1), ("batch_size", 2),
                            ("attack_steps", 1), ("probe_images", 0), ("seed", 0),
                            ("weight_decay", 0), ("limit", 1)):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UserError(f"{_flag(name)} is {value}; it must be at least {least}")
        for name, most in (("lr", None), ("eps", 1), ("step_size", 1)):
            value = getattr(self, name)
            if value is not None and not (value > 0 and (most is None or value <= most)):
                bound = "" if most is None else " and at most 1 (write 8/255)"
                raise UserError(f"{_flag(name)} is {value}; it must be above 0{bound}")
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"--ema-decay is {self.ema_decay}; it must be at least 0 and below 1")

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON-able values."""
        return dataclasses.asdict(self)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _benchmark() -> dict[str, Any]:
    """The recipe of NAS-RobBench-201: hours on a GPU."""
    return {}


def _quick() -> dict[str, Any]:
    """One cell per stage, 10 epochs, N-FGSM, small batches: minutes on two CPU cores."""
    return dict(N=1, epochs=10, batch_size=64, attack="n_fgsm", limit=5000)


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {"benchmark": _benchmark, "quick": _quick}
"""name -> the fields it sets. What the user names on the command line wins."""


def with_preset(name: str, given: dict[str, Any]) -> TrainConfig:
    """The config of a command line: preset fields, then what the user gave.

    Raises: UserError for an unknown preset, a bad value, or no genotype.
    """
    if name not in PRESETS:
        raise UserError(f"preset '{name}' is unknown; choose one of {', '.join(PRESETS)}")
    config = TrainConfig(**{**PRESETS[name](), **given})
    if not config.genotype:
        raise UserError("no cell was named; give --genotype runs/NAME/genotype.json or a string")
    return config


def resumed(saved: dict[str, Any], given: dict[str, Any], folder: object) -> TrainConfig:
    """The config of a run that goes on: the saved one, with other places where the user named any.

    Raises: UserError when the user named something that changes the result, or when the saved
            config is of another version.
    """
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    unknown = sorted(set(saved) - known)
    if unknown:
        raise UserError(
            f"the config of {folder} has unknown fields {', '.join(unknown)}; resume it with the"
            " version that wrote it"
        )
    config = TrainConfig(**saved)
    changed = [
        f"{name}: {getattr(config, name)} -> {value}"
        for name, value in given.items()
        if name not in WHERE_FIELDS and value != getattr(config, name)
    ]
    if changed:
        raise UserError(
            f"{folder} was started with another config ({'; '.join(changed)}); resume it without"
            " these flags, or start a new run with another --out"
        )
    places = {name: value for name, value in given.items() if name in WHERE_FIELDS}
    return dataclasses.replace(config, **places)
