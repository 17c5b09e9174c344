"""Starts or resumes a stand-alone training in its run directory, and exports the network.

config.json  checkpoint.pt  metrics.jsonl  events.*  model.pt  model.json
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supernet.cells.argument import read_cell
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.errors import UserError
from supernet.files import data_root, write_json
from supernet.runs.checkpoint import load_checkpoint
from supernet.runs.folder import FORMAT, SCRIPTS, new_folder, plain, read_description
from supernet.runs.loop import Run
from supernet.runs.machine import describe, refuse_other_surroundings, resolve_device
from supernet.settings import from_saved, resumed
from supernet.train.config import WHERE_FIELDS, TrainConfig
from supernet.train.export import save_model
from supernet.train.training import Training


def run_training(config: TrainConfig, *, quiet: bool = False) -> Path:
    """Train from the start in a new run directory, which is returned.

    Raises: UserError before anything is written; Interrupted after a checkpoint was.
    """
    genotype, record = read_cell(config.genotype or "", data_root(config.data_root))
    config = with_images(config, record)
    training = _prepare(config, genotype)
    folder = new_folder(config.out, _automatic_folder(config, genotype))
    write_json(folder / "config.json", _description(training))
    return TrainRun(training, folder, epochs=config.epochs, quiet=quiet).finish()


def resume_training(folder: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Continue the run in `folder` from its last checkpoint, or only export its network again.

    Raises: UserError when `given` names another config, when the images or the kind of device are
            others than the run's, or when a file cannot be read.
    """
    if given.get("out"):
        raise UserError("--resume already names the run directory; remove --out")
    description = read_description(folder, TrainRun.kind)
    config = from_saved(TrainConfig, description["config"], folder / "config.json")
    config = resumed(config, given, folder, free=WHERE_FIELDS)
    saved = load_checkpoint(folder / "checkpoint.pt", TrainRun.kind)
    training = _prepare(config, Genotype.parse(description["code"]))
    refuse_other_surroundings(folder, _surroundings(training))
    training.load_state_dict(saved["state"])
    # Where things are may have changed; the next command looks there.
    write_json(folder / "config.json", {**description, "config": config.to_dict()})
    run = TrainRun(
        training, folder, epochs=config.epochs, quiet=quiet, seconds=saved["seconds"], resumed=True
    )
    return run.finish()


class TrainRun(Run[Training]):
    """A training in its directory."""

    kind = "training"
    script = SCRIPTS[kind]

    def introduce(self) -> None:
        """Log the cell that is trained."""
        if not self.resumed:
            self.tracker.cell(self.job.genotype, 0)

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
        facts = {
            "dataset": training.data.name,
            "image_size": training.data.image_size,
            "side": training.config.side,
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
    side = config.side
    if side is None and dataset.startswith("folder:"):
        side = record.get("side")
    return dataclasses.replace(config, dataset=dataset, side=side)


def _prepare(config: TrainConfig, genotype: Genotype) -> Training:
    device = resolve_device(config.device)
    assert config.dataset is not None, "named by with_images"
    data = load_dataset(
        config.dataset, data_root=config.data_root, limit=config.limit, side=config.side,
        test_limit=config.probe_images, device=device,
    )  # fmt: skip
    return Training(config, genotype, data, device)


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
    path = Path(text).expanduser()
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
        "command": shlex.join(["python", *sys.argv]),
        "eps": training.eps,
        "steps_per_epoch": training.steps_per_epoch,
        **_surroundings(training),
        **describe(training.device),
    }


def _surroundings(training: Training) -> dict[str, Any]:
    return {"data": training.data.facts(), "device_type": training.device.type}
