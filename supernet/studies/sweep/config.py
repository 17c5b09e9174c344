"""The configuration of a sweep: which cells, how they are trained and measured, and where."""

import argparse
import dataclasses
import re
import shlex
from dataclasses import dataclass
from typing import Any

from supernet.cli import argument_parser
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags
from supernet.settings import check_settings, setting
from supernet.train.config import TrainConfig, with_preset

ATTACKS = ("clean", "fgsm", "pgd", "autoattack")

TASK_FIELDS = ("cells", "seeds", "recipes")
"""Which trainings there are. A sweep that goes on may name others: no training depends on them."""
PLACE_FIELDS = (
    "out", "data_root", "address", "cpus", "cpus_per_task", "gpus_per_task", "retries", "again",
    "metric", "benchmark", "val",
)  # fmt: skip
"""Fields that change no result, or only how sums are rounded."""
SWEEPS = (
    "genotype",
    "dataset",
    "data_root",
    "side",
    "val",
    "seed",
    "device",
    "out",
    "probe_images",
)
"""Fields of a training that a sweep sets itself."""


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Everything a sweep depends on. Each field is a command-line flag of scripts/sweep.py."""

    cells: tuple[str, ...] = setting((), group="cells and trainings")
    """Cells: codes, indices, strings, files (genotype.json, front.json, finalists.json, FILE:N for
    one of its cells, or a text with one a line), run folders, top:K (the best K of the benchmark by
    --metric on --benchmark), or all (the 6,466 different ones)."""
    metric: str = setting("pgd_8", group="cells and trainings")
    """The benchmark's column that top:K goes by."""
    benchmark: str = setting("cifar10", group="cells and trainings")
    """The benchmark's data set that top:K goes by."""
    seeds: tuple[int, ...] = setting((0,), least=0, group="cells and trainings")
    """Seeds; each cell is trained with every one of them."""
    recipes: tuple[str, ...] = setting(("quick",), group="cells and trainings")
    """Recipes: presets of scripts/train.py, each with flags behind it where wanted and a name
    before it: "quick,long=benchmark --epochs 100 --ema". On your own pictures batches and epochs
    without a flag follow from what the folder holds."""

    dataset: str = setting("digits", group="images")
    """Images: digits, cifar10, cifar100, imagenet16-120, folder:PATH or pack:FILE."""
    data_root: str | None = setting(None, group="images")
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""
    side: int | None = setting(None, least=1, group="images", hint="32")
    """Side in pixels that the pictures of folder:PATH are resized to. Automatic is 16, 32 or (on a
    GPU) 64, the largest that is not above the median shorter side of the pictures."""
    val: str | None = setting(None, group="images", none="the folder's own")
    """Folder with the held-out pictures of folder:PATH, a subfolder for each of its classes. The
    folder's own are its test or val split, else a fifth of each class."""

    attacks: tuple[str, ...] = setting(
        ("clean", "fgsm", "pgd"), choices=ATTACKS, group="measurement"
    )
    """What each network is measured under, on the test images."""
    eps: tuple[float, ...] = setting((), above=0, most=1, group="measurement", hint="8/255")
    """L-inf radii in the pixel range [0, 1]. None is 3/255 and 8/255, for digits 12/255 and
    32/255."""
    test_limit: int | None = setting(None, least=1, group="measurement", none="all")
    """Measure on at most this many test images, class by class as evenly as they come."""

    address: str | None = setting(None, group="machines", none="this machine")
    """A Ray cluster that runs: auto, or HOST:PORT. Its machines need the same version installed;
    the images are sent to them."""
    cpus: int | None = setting(None, least=1, most=4096, group="machines", none="all")
    """CPUs of this machine that the sweep may use."""
    cpus_per_task: int = setting(1, least=1, most=1024, group="machines")
    """CPUs of a training, and its threads. Another number rounds sums in another order."""
    gpus_per_task: float | None = setting(
        None, least=0, most=16, group="machines", none="1 where there are GPUs, else 0"
    )
    """GPUs of a training; 0.25 lets four share one."""
    retries: int = setting(3, least=0, most=1000, group="machines")
    """How often a training starts again after its process or its machine died."""

    again: bool = setting(False, group="run")
    """Repeat the trainings that an earlier start lost or that failed; those that diverged do so
    again and are left."""
    out: str | None = setting(None, group="run")
    """The sweep's folder. Automatic is runs/sweep-DATASET. Given a folder that holds a sweep, the
    sweep goes on."""

    def __post_init__(self) -> None:
        check_settings(self)
        for flag, values in (("--seeds", self.seeds), ("--recipes", self.recipes)):
            if not values or len(set(values)) < len(values):
                raise UserError(f"{flag} needs one or more values, each once")
        if not self.attacks:
            raise UserError("--attacks is empty; write clean,fgsm,pgd")
        self.trainings  # noqa: B018  a bad recipe is told before torch is imported

    @property
    def trainings(self) -> dict[str, dict[str, Any]]:
        """Name of each recipe -> fields of `TrainConfig`."""
        found: dict[str, dict[str, Any]] = {}
        for text in self.recipes:
            name, fields, _ = read_recipe(text)
            if name in found:
                raise UserError(f"--recipes names '{name}' twice; give one another name: b={text}")
            found[name] = fields
        return found

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON has them, lists for tuples."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def read_recipe(text: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(name, fields of `TrainConfig`, those that flags gave) of `[NAME=]PRESET [FLAGS]`; the name
    is else the text.

    Raises: UserError naming the recipe: an unknown preset or flag, a bad value, or one that the
            sweep sets itself.
    """
    found = re.match(r"\s*([\w.-]+)=(?=[\w-])", text)
    name = found[1] if found else " ".join(text.split())
    try:
        words = shlex.split(text[found.end() :] if found else text)
        preset = words[0] if words and not words[0].startswith("-") else "benchmark"
        flags = words[1:] if words and words[0] == preset else words
        given = given_flags(_parser().parse_args(flags), TrainConfig)
        fixed = [flag for flag in given if flag in SWEEPS]
        if fixed:
            raise UserError(f"--{fixed[0].replace('_', '-')} is the sweep's own; leave it out here")
        config = with_preset(preset, {**given, "genotype": "000000"})
    except UserError as error:
        raise UserError(f"recipe '{text}': {error}".replace("--preset '", "preset '")) from error
    except ValueError as error:  # quotes that do not close
        raise UserError(f"recipe '{text}': {error}; write for example quick --epochs 5") from error
    return name, {key: v for key, v in config.to_dict().items() if key not in SWEEPS}, given


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser(None, prog="scripts/train.py", add_help=False)
    add_config_flags(parser, TrainConfig)
    return parser
