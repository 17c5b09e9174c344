"""A run directory of a stand-alone training: started or resumed, followed, and exported.

config.json  checkpoint.pt  metrics.jsonl  events.*  model.pt  model.json
"""

import dataclasses
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from supernet.cells.argument import read_cell
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset
from supernet.errors import UserError
from supernet.files import data_root, read_json, write_json
from supernet.runs.checkpoint import load_checkpoint, save_checkpoint
from supernet.runs.folder import finish, new_folder, plain
from supernet.runs.interrupts import Interrupted, deferred_interrupts
from supernet.runs.machine import describe, peak_memory_mb, resolve_device
from supernet.runs.surroundings import refuse_other_surroundings
from supernet.runs.tracking import Tracker
from supernet.settings import from_saved, resumed
from supernet.train.config import WHERE_FIELDS, TrainConfig
from supernet.train.export import save_model
from supernet.train.training import Training

KIND = "stand-alone training"


def run_training(config: TrainConfig, *, quiet: bool = False) -> Path:
    """Train from the start in a new run directory, which is returned.

    Raises: UserError before anything is written; Interrupted after a checkpoint was.
    """
    genotype, record = read_cell(config.genotype or "", data_root(config.data_root))
    config = _with_images(config, record)
    training = _prepare(config, genotype)
    folder = new_folder(config.out, _automatic_folder(config, genotype))
    write_json(folder / "config.json", _description(training))
    return finish(_Run(training, folder, quiet=quiet), _export)


def resume_training(folder: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Continue the run in `folder` from its last checkpoint, or only export its network again.

    Raises: UserError when `given` names another config, when the images or the kind of device are
            others than the run's, or when a file cannot be read.
    """
    if given.get("out"):
        raise UserError("--resume names the run directory itself; leave --out out")
    path = folder / "config.json"
    description = read_json(path) if path.is_file() else {}
    if description.get("kind") != KIND:
        raise UserError(f"{folder} holds no {KIND}; name the folder that scripts/train.py made")
    saved = from_saved(TrainConfig, description.get("config"), path)
    config = resumed(saved, given, folder, free=WHERE_FIELDS)
    state = load_checkpoint(folder / "checkpoint.pt")
    genotype = Genotype.parse(description["code"])
    training = _prepare(config, genotype)
    refuse_other_surroundings(
        folder, {"data": _data_facts(training.data), "device_type": training.device.type}
    )
    training.load_state_dict(state["training"])
    # Where things are may have changed; the next command looks there.
    write_json(path, {**description, "config": config.to_dict()})
    seconds = state["seconds"]
    return finish(_Run(training, folder, quiet=quiet, seconds=seconds, resumed=True), _export)


class _Run:
    """One process's part of a run."""

    def __init__(
        self,
        training: Training,
        folder: Path,
        *,
        quiet: bool,
        seconds: float = 0.0,
        resumed: bool = False,
    ) -> None:
        self.training, self.folder, self.quiet, self.resumed = training, folder, quiet, resumed
        self.seconds_before, self.started = seconds, time.perf_counter()
        self.tracker = Tracker(
            folder,
            read_json(folder / "config.json"),
            resume_step=training.step if resumed else None,
        )

    @property
    def seconds(self) -> float:
        """Wall-clock of the run, all its processes together."""
        return self.seconds_before + time.perf_counter() - self.started

    def checkpoint(self) -> None:
        """All that is logged is on the disk first: a resume writes nothing before it again."""
        self.tracker.flush()
        save_checkpoint(
            self.folder / "checkpoint.pt",
            {"training": self.training.state_dict(), "seconds": self.seconds},
        )

    def train(self) -> None:
        """All steps that are left; a checkpoint first, after each epoch and after Ctrl-C."""
        training = self.training
        bar = tqdm(
            total=training.total_steps, initial=training.step, unit="step", dynamic_ncols=True,
            desc="train", disable=True if self.quiet else None,
        )  # fmt: skip
        with bar, deferred_interrupts() as interrupted:
            if not self.resumed:
                self.tracker.cell(training.genotype, 0)
                self.checkpoint()  # from here on, whatever happens, the run can be resumed
            while training.step < training.total_steps:
                self._epoch(bar, interrupted)
            if interrupted():  # in the last step: everything is recorded
                self.stop()

    def stop(self) -> NoReturn:
        """End the process's part of the run, and say how to go on."""
        training = self.training
        raise Interrupted(
            f"stopped after {training.step} of {training.total_steps} steps "
            f"({training.config.epochs} epochs); go on with:\n"
            f"  python scripts/train.py --resume {shlex.quote(str(self.folder))}"
        )

    def _epoch(self, bar: Any, interrupted: Callable[[], bool]) -> None:
        training, first, began = self.training, self.training.step, time.perf_counter()
        epoch = training.epoch + 1
        while training.epoch < epoch:
            # Before the step: after an epoch's last one its record must be written first.
            if interrupted():
                self.checkpoint()
                self.stop()
            training.train_step()
            bar.update()
        trained = time.perf_counter()
        record = {
            "epoch": epoch,
            "step": training.step,
            "lr": training.schedule.get_last_lr()[0],
            **training.epoch_means(),
            **training.measure(),
            "step_seconds": (trained - began) / (training.step - first),
            "seconds": self.seconds,
            "peak_memory_mb": peak_memory_mb(training.device),
        }
        self.tracker.epoch(record)
        self.checkpoint()
        if not self.quiet:
            bar.write(_line(record, training), file=sys.stdout)


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


def _with_images(config: TrainConfig, record: dict[str, Any]) -> TrainConfig:
    """The config with its images named: those of the search that found the cell, else CIFAR-10."""
    if config.dataset is not None:
        return config
    side, search = config.side, _search_folder(config.genotype)
    if side is None and search is not None:
        side = read_json(search / "config.json").get("config", {}).get("side")
    return dataclasses.replace(config, dataset=record.get("dataset") or "cifar10", side=side)


def _prepare(config: TrainConfig, genotype: Genotype) -> Training:
    device = resolve_device(config.device)
    assert config.dataset is not None, "named by _with_images"
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
        "kind": KIND,
        "arch": training.genotype.arch,
        "code": training.genotype.code,
        "config": training.config.to_dict(),
        "command": shlex.join(["python", *sys.argv]),
        "eps": training.eps,
        "device_type": training.device.type,
        "steps_per_epoch": training.steps_per_epoch,
        "data": _data_facts(training.data),
        **describe(training.device),
    }


def _data_facts(data: ImageData) -> dict[str, Any]:
    return {
        "name": data.name,
        "source": data.source,
        "stand_in": data.stand_in,
        "num_classes": data.num_classes,
        "image_size": data.image_size,
        "train_images": len(data.train_y),
    }


def _export(run: _Run) -> Path:
    training = run.training
    facts = {
        "dataset": training.data.name,
        "image_size": training.data.image_size,
        "side": training.config.side,
        "class_names": list(training.data.class_names),
        "eps": training.eps,
        "weights": "average" if training.ema is not None else "last",
        "epochs": training.epoch,
        "training": {**training.config.to_dict(), "data": _data_facts(training.data)},
        "seconds": run.seconds,
        **describe(training.device),
    }
    save_model(run.folder, training.result, facts)
    return run.folder
