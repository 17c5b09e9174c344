"""Starts or resumes a stand-alone training in its run directory, and exports the network.

config.json  checkpoint.pt  checkpoint-before.pt  metrics.jsonl  events.*  .lock
model.pt  model.json
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from supernet.cells.argument import read_cell
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.errors import UserError
from supernet.files import at_home, data_root, write_json
from supernet.invocation import command_line
from supernet.precision import training_arithmetic
from supernet.runs.checkpoint import load_last
from supernet.runs.fitted import fit_training
from supernet.runs.folder import (
    COMMANDS,
    CONFIG,
    FORMAT,
    clear,
    fingerprint,
    has_checkpoint,
    new_folder,
    old_folder,
    plain,
    read_description,
)
from supernet.runs.loop import Run, warn_of_few_images
from supernet.runs.machine import (
    describe,
    device_of_run,
    refuse_other_surroundings,
    resolve_device,
)
from supernet.runs.state import load_state
from supernet.settings import from_saved, resumed, without_place
from supernet.torchrun import current
from supernet.train.config import MACHINE_FIELDS, WHERE_FIELDS, TrainConfig
from supernet.train.export import save_model
from supernet.train.training import Training


def run_training(config: TrainConfig, *, quiet: bool = False) -> Path:
    """Train from the start in a new run directory, which is returned.

    Raises: UserError before anything is written; Interrupted after a checkpoint was.
    """
    genotype, record = current().from_first(
        lambda: read_cell(config.genotype or "", data_root(config.data_root))
    )
    config = with_images(config, record)
    training = _prepare(config, genotype, resolve_device(config.device))
    automatic = _automatic_folder(config, genotype)
    with training.ranks.first_holds(new_folder(config.out, automatic, TrainRun.kind)) as folder:
        return _begin(training, folder, quiet=quiet)


def fitted_config(
    config: TrainConfig, given: dict[str, Any], *, processes: int = 1
) -> tuple[TrainConfig, list[str]]:
    """The config with its images named and, where these are one's own pictures, side, batch size
    and epochs for them; with a line about each. Fields in `given` stay, and the batch size becomes
    that of all processes together.

    Raises: UserError as `run_training` does.
    """
    _, record = read_cell(config.genotype or "", data_root(config.data_root))
    on_gpu = resolve_device(config.device).type == "cuda"
    named = with_images(config, record)
    return fit_training(named, given, on_gpu=on_gpu, processes=processes)


def resume_training(folder: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Continue the run in `folder` from its last checkpoint, or only export its network again.

    A run that ended before its first checkpoint starts anew.
    Raises: UserError when `given` names another config, when the images or the kind of device are
            others than the run's, when another process is in the folder, or when a file cannot be
            read.
    """
    if given.get("out"):
        raise UserError("--resume already names the run directory; remove --out")
    ranks = current()
    ranks.from_first(lambda: _saved(folder, given))  # what is refused leaves the folder as it is
    with ranks.first_holds(old_folder(folder)):
        config, genotype, description = ranks.from_first(lambda: _saved(folder, given))
        name = given.get("device", config.device)
        if not ranks.from_first(lambda: has_checkpoint(folder)):
            if ranks.first:
                print(f"{folder} has no checkpoint yet: the training starts anew", file=sys.stderr)
                clear(folder)
            return _begin(_prepare(config, genotype, resolve_device(name)), folder, quiet=quiet)
        training = _prepare(config, genotype, device_of_run(name, description.get("device_type")))
        here, config_hash = _surroundings(training), _hash(config, genotype)
        ranks.from_first(lambda: refuse_other_surroundings(folder, here))
        saved = ranks.from_first(lambda: load_last(folder, TrainRun.kind, config_hash))
        load_state(training, saved["state"], folder)
        # Where things are may have changed; the next command looks there.
        description |= {
            "config": config.to_dict(), "config_hash": config_hash, "processes": ranks.count,
        }  # fmt: skip
        if ranks.first:
            write_json(folder / CONFIG, description)
        run = TrainRun(
            training, folder, epochs=config.epochs, quiet=quiet, seconds=saved["seconds"],
            resumed=True,
        )  # fmt: skip
        return run.finish()


def _begin(training: Training, folder: Path, *, quiet: bool) -> Path:
    """Run a training in its empty folder."""
    if training.ranks.first:
        write_json(folder / CONFIG, _description(training))
    return TrainRun(training, folder, epochs=training.config.epochs, quiet=quiet).finish()


def _saved(folder: Path, given: dict[str, Any]) -> tuple[TrainConfig, Genotype, dict[str, Any]]:
    """Config with the places that `given` names, cell and config.json of a run."""
    description = read_description(folder, TrainRun.kind)
    config = from_saved(TrainConfig, description["config"], folder / CONFIG)
    places = {name: value for name, value in given.items() if name not in MACHINE_FIELDS}
    config = resumed(config, places, folder, free=WHERE_FIELDS)
    code = description.get("code")
    if not isinstance(code, str):
        raise UserError(f"{folder / CONFIG} names no cell; put the run's own file in its place")
    return config, Genotype.parse(code), description


class TrainRun(Run[Training]):
    """A training in its directory."""

    kind = "training"
    command = COMMANDS[kind]

    def introduce(self) -> None:
        """Log the cell that is trained."""
        if not self.resumed:
            self.tracker.cell(self.job.genotype, 0)
        if not self.quiet:
            config = self.job.config
            warn_of_few_images(config.batch_size, self.ranks, synchronised=config.sync_batch_norm)

    def measure(self) -> dict[str, Any]:
        """Accuracy on the first test images."""
        return self.job.measure()

    def follow(self, record: dict[str, Any], write: Callable[..., None]) -> None:
        """Log an epoch and print a line."""
        self.tracker.epoch(record)
        if not self.quiet:
            write(_line(record, self.job))

    def conclude(self) -> None:
        """Leave model.pt and model.json."""
        training = self.job
        if not self.ranks.first:
            return
        facts = {
            "dataset": training.data.name,
            "image_size": training.data.image_size,
            "side": training.config.side,
            "val": training.config.val,
            "class_names": list(training.data.class_names),
            "eps": training.eps,
            "weights": "average" if training.ema is not None else "last",
            "epochs": training.epoch,
            "training": {**training.config.to_dict(), "data": training.data.facts()},
            "seconds": self.seconds,
            **describe(training.device),
        }
        save_model(self.folder, training.result, facts)


def _line(record: dict[str, Any], training: Training) -> str:
    count = min(training.config.probe_images, len(training.data.test_y))
    kind = "clean" if training.attack is None else training.config.attack
    accuracy = record.get("train_robust_acc", record.get("train_clean_acc"))
    line = (
        f"epoch {record['epoch']:>3}/{training.config.epochs}  loss {record['train_loss']:.3f}"
        f"  train {kind} {accuracy:6.1%}"
    )
    if count:
        line += (
            f"  test[{count}] clean {record['test_clean_acc']:6.1%}"
            f" PGD-10 {record['test_robust_acc']:6.1%}"
        )
    return line


def with_images(config: TrainConfig, record: dict[str, Any]) -> TrainConfig:
    """The config with its images named: as in the search that found the cell, else CIFAR-10.

    Pictures of a folder get the side of that search wherever they lie.
    """
    dataset = config.dataset or record.get("dataset") or "cifar10"
    side, val = config.side, config.val
    if dataset.startswith("folder:"):
        side = record.get("side") if side is None else side
        same = dataset == record.get("dataset")
        val = record.get("val") if val is None and same else val
    return dataclasses.replace(config, dataset=dataset, side=side, val=val)


def _prepare(config: TrainConfig, genotype: Genotype, device: torch.device) -> Training:
    assert config.dataset is not None, "named by with_images"
    ranks, name = current(), config.dataset
    device = ranks.device(device)
    data = ranks.in_turn(lambda: load_dataset(
        name, data_root=config.data_root, limit=config.limit, side=config.side, val=config.val,
        test_limit=config.probe_images, device=device,
    ))  # fmt: skip
    what = {"config": config.to_dict(), "set of images": data.digest}
    ranks.refuse_different(what, "at the start")
    return Training(config, genotype, data, device, ranks)


def _automatic_folder(config: TrainConfig, genotype: Genotype) -> Path:
    search = _search_folder(config.genotype)
    if search is not None:
        return search / "standalone"
    dataset = plain(str(config.dataset))
    return Path("runs") / f"train-{dataset}-{genotype.code}-seed{config.seed}"


def _search_folder(text: str | None) -> Path | None:
    """The run directory of the search that found the cell, if it was named by one."""
    if not text:
        return None
    path = at_home(text)
    folder = path if path.is_dir() else path.parent
    named = path.is_dir() or path.name == "genotype.json"
    return folder if named and (folder / "config.json").is_file() else None


def _description(training: Training) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": TrainRun.kind,
        "arch": training.genotype.arch,
        "code": training.genotype.code,
        "config": training.config.to_dict(),
        "config_hash": _hash(training.config, training.genotype),
        "command": training.ranks.launched(command_line()),
        "processes": training.ranks.count,
        "eps": training.eps,
        "steps_per_epoch": training.steps_per_epoch,
        **_surroundings(training),
        **describe(training.device),
    }


def _hash(config: TrainConfig, genotype: Genotype) -> str:
    """Digits that two trainings share when all that matters is equal; the cell is named by its
    code, for the file that named it may have changed."""
    free = (*WHERE_FIELDS, "genotype")
    fields = {name: value for name, value in config.to_dict().items() if name not in free}
    what = {name: without_place(value) for name, value in fields.items()}
    return fingerprint({**what, "code": genotype.code})


def _surroundings(training: Training) -> dict[str, Any]:
    return {
        "data": training.data.facts(),
        "device_type": training.device.type,
        "arithmetic": training_arithmetic(training.device, training.config.train_dtype),
    }
