"""The configuration of a stand-alone training, and its presets. No torch here."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supernet.errors import UserError
from supernet.settings import TRAIN_ATTACKS, TRAIN_DTYPES, check_settings, choose, setting

WHERE_FIELDS = ("out", "data_root", "val")
"""Fields that do not change the result: a resumed run may name others."""
MACHINE_FIELDS = ("device",)
"""Fields that change how sums are rounded; a resumed run may name others."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a stand-alone training depends on; the defaults are NAS-RobBench-201's recipe."""

    genotype: str | None = setting(None, group="cell and images", none="none")
    """The cell: genotype.json of a search or its folder, FILE.json:N (cell N of a list, from 0),
    the string |op~0|+..., a six-digit code, or the published index. Needed for a new run."""
    dataset: str | None = setting(None, group="cell and images")
    """Images: digits, cifar10, cifar100, imagenet16-120, folder:PATH or pack:FILE. Automatic is
    the genotype file's, else cifar10."""
    data_root: str | None = setting(None, group="cell and images")
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    limit: int | None = setting(None, least=1, group="cell and images", hint="5000", none="all")
    """Use at most this many training images, class by class as evenly as they come."""
    side: int | None = setting(None, least=1, group="cell and images", hint="32")
    """Side in pixels that the pictures of folder:PATH are resized to. Automatic is the genotype
    file's, else 16, 32 or (on a GPU) 64, by the median shorter side of the pictures."""
    val: str | None = setting(None, group="cell and images", none="the genotype file's, else own")
    """Folder with the held-out pictures of folder:PATH, a subfolder for each of its classes. The
    folder's own are its test or val split, else a fifth of each class."""
    balance: bool = setting(False, group="training")
    """Train with the classes equally often: pictures of a rare class come several times an epoch,
    each time cropped, mirrored and attacked anew."""

    C: int = setting(16, least=1, most=4096, group="network")
    """Channels of the first stage; the others have 2C and 4C."""
    N: int = setting(5, least=1, most=1000, group="network")
    """Cells per stage."""

    epochs: int = setting(50, least=1, group="training")
    """Passes over the training images."""
    batch_size: int = setting(256, least=2, group="training")
    """Images per step, under torchrun of each process; the last images of an epoch that fill no
    batch are left out of it."""
    sync_batch_norm: bool = setting(True, group="training")
    """Under torchrun: batch norm normalises with the images of all processes, so that their number
    does not matter. Without it each takes its own images."""
    lr: float = setting(0.1, above=0, group="training")
    """Largest learning rate of the one-cycle schedule, which moves every step. Momentum cycles
    between 0.95 and 0.85 against it, as in the benchmark's code."""
    weight_decay: float = setting(5e-4, least=0, group="training")
    """Weight decay of SGD."""
    train_dtype: str = setting("float32", choices=TRAIN_DTYPES, group="training")
    """What convolutions take when the weights are trained; bfloat16 is faster where the CPU or GPU
    multiplies it. Weights, statistics, optimiser and measurements stay float32."""
    attack: str = setting("pgd", choices=TRAIN_ATTACKS, group="attack")
    """Attack of the training images; none trains on clean images."""
    attack_steps: int = setting(7, least=1, group="attack")
    """Steps of PGD; the single-step attacks take one."""
    eps: float | None = setting(None, above=0, most=1, group="attack", hint="8/255")
    """L-inf radius in the pixel range [0, 1]. Automatic is the data set's: 8/255, digits 32/255."""
    step_size: float | None = setting(None, above=0, most=1, group="attack", hint="2/255")
    """Step of the attack in the pixel range. Automatic is eps/4 for pgd (2/255 at 8/255), and the
    attack's own for the others."""
    ema: bool = setting(False, group="training")
    """Keep an exponential moving average of the weights, and monitor and save that."""
    ema_decay: float = setting(0.999, least=0, below=1, group="training")
    """Decay of the average per step; it grows to this from 0 in the first steps."""
    probe_images: int = setting(256, least=0, group="run")
    """Test images whose accuracy is shown after each epoch, for people: nothing is chosen by it. 0
    leaves it out."""

    seed: int = setting(0, least=0, group="run")
    """Seed of everything random."""
    device: str = setting("auto", group="run")
    """auto, cpu, cuda or cuda:N."""
    out: str | None = setting(None, group="run")
    """Run directory. Automatic is standalone/ in the search's folder where the genotype came from
    one, else runs/train-DATASET-CODE-seedN; with a number if taken."""

    def __post_init__(self) -> None:
        check_settings(self)

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON-able values."""
        return dataclasses.asdict(self)


def _benchmark() -> dict[str, Any]:
    """The recipe of NAS-RobBench-201: hours on a GPU."""
    return {}


def _quick() -> dict[str, Any]:
    """One cell per stage, 10 epochs, N-FGSM, small batches: minutes on two CPU cores."""
    return dict(N=1, epochs=10, batch_size=64, attack="n_fgsm", limit=5000)


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {"benchmark": _benchmark, "quick": _quick}
"""name -> the fields it sets. Flags on the command line win."""


def with_preset(name: str, given: dict[str, Any]) -> TrainConfig:
    """The config of a command line: preset fields, then what the user gave.

    Raises: UserError for an unknown preset, a bad value, or no genotype.
    """
    choose("--preset", name, PRESETS)
    config = TrainConfig(**{**PRESETS[name](), **given})
    if not config.genotype:
        raise UserError("no cell was named; give --genotype runs/NAME/genotype.json or a string")
    return config
