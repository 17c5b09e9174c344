"""A run directory: start or resume a search, follow it, and leave its results.

config.json  checkpoint.pt  metrics.jsonl  events.*  genotype.json  report.md  figures/
and of a pareto search front.json  front_scores.jsonl
"""

import dataclasses
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from ops.mixed import resolve_impl
from supernet.benchmark.load import load_table
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.report import figures
from supernet.report.write import write_report
from supernet.runs.checkpoint import kept_epoch, load_checkpoint, save_checkpoint
from supernet.runs.folder import finish, new_folder, plain
from supernet.runs.genotype_json import front_record, genotype_record, judged_by
from supernet.runs.interrupts import Interrupted, deferred_interrupts
from supernet.runs.machine import describe, device_name, peak_memory_mb, resolve_device
from supernet.runs.surroundings import refuse_other_surroundings
from supernet.runs.tracking import Tracker
from supernet.search.config import SearchConfig, differences, from_dict
from supernet.search.derive import argmax_cell
from supernet.search.front import SCORES_FILE, Front, find_front
from supernet.search.measure import derive_cells, measure, warnings
from supernet.search.search import Search, load_images


def run_search(config: SearchConfig, *, quiet: bool = False) -> Path:
    """Search from the start in a new run directory, which is returned.

    Raises: UserError before anything is written; Interrupted after a checkpoint was.
    """
    table = load_table(config.data_root)
    search = _prepare(config)
    folder = new_folder(config.out, _automatic_folder(config))
    write_json(folder / "config.json", _description(config, search))
    return finish(_Run(search, folder, table, quiet=quiet), _conclude)


def resume_search(folder: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Continue the run in `folder` from its last checkpoint, or only write its results again.

    `given` are config fields the user named: they must agree with the run's.
    Raises: UserError when they do not, or when a file of the run cannot be read.
    """
    if given.get("out"):
        raise UserError("--resume names the run directory itself; leave --out out")
    config = config_of(folder, given)
    table = load_table(config.data_root)
    state = load_checkpoint(folder / "checkpoint.pt")
    search = _prepare(config)
    _refuse_other_surroundings(folder, search)
    search.load_state_dict(state["search"])
    # Where things are may have changed; the report and the next command look there.
    write_json(
        folder / "config.json", {**read_json(folder / "config.json"), "config": config.to_dict()}
    )
    seconds = state["seconds"]
    return finish(
        _Run(search, folder, table, quiet=quiet, seconds=seconds, resumed=True), _conclude
    )


def config_of(folder: Path, given: dict[str, Any]) -> SearchConfig:
    """The config of the run in `folder`.

    Raises: UserError when there is none, or when a field of `given` disagrees with it.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no run directory (it has no config.json); name one to resume")
    saved = from_dict(read_json(folder / "config.json").get("config", {}))
    config = dataclasses.replace(saved, **given)
    changed = differences(saved, config)
    if changed:
        raise UserError(
            f"{folder} was started with another config ({'; '.join(changed)}); resume it without "
            "these flags, or start a new run with another --out"
        )
    return config


def _refuse_other_surroundings(folder: Path, search: Search) -> None:
    here = {
        "data": _data_facts(search.data, search),
        "impl": resolve_impl(search.net.impl, search.device.type),
        "device_type": search.device.type,
    }
    refuse_other_surroundings(folder, here)


class _Run:
    """One process's part of a run."""

    def __init__(
        self,
        search: Search,
        folder: Path,
        table: Table,
        *,
        quiet: bool,
        seconds: float = 0.0,
        resumed: bool = False,
    ) -> None:
        self.search, self.folder, self.table, self.quiet = search, folder, table, quiet
        self.seconds_before, self.started = seconds, time.perf_counter()
        self.tracker = Tracker(
            folder,
            read_json(folder / "config.json"),
            resume_step=search.step if resumed else None,
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
            {"search": self.search.state_dict(), "seconds": self.seconds},
        )

    def train(self) -> None:
        """All steps that are left; a checkpoint after each epoch and after Ctrl-C."""
        search = self.search
        self._introduce()
        if search.step == 0:
            self.checkpoint()  # from here on, whatever happens, the run can be resumed
        bar = tqdm(
            total=search.total_steps, initial=search.step, unit="step", dynamic_ncols=True,
            desc="search", disable=True if self.quiet else None,
        )  # fmt: skip
        with bar, deferred_interrupts() as interrupted:
            while search.step < search.total_steps:
                began = time.perf_counter()
                self._epoch(bar, interrupted, began)
            if interrupted():  # in the last step: everything is recorded
                self.stop()

    def stop(self) -> NoReturn:
        """End the process's part of the run, and say how to go on."""
        config = self.search.config
        raise Interrupted(
            f"stopped after {self.search.step} of {self.search.total_steps} steps "
            f"({config.epochs} epochs); go on with:\n"
            f"  python scripts/search.py --resume {shlex.quote(str(self.folder))}"
        )

    def _introduce(self) -> None:
        if not self.quiet:
            search = self.search
            print(f"images   {search.data.source}")
            print(
                f"network  C={search.config.C}, N={search.config.N}, "
                f"{resolve_impl(search.net.impl, search.device.type)} on "
                f"{device_name(search.device)}"
            )
            print(f"run      {self.folder}, config {search.config.hash()}", flush=True)

    def _epoch(self, bar: Any, interrupted: Callable[[], bool], began: float) -> None:
        search, first = self.search, self.search.step
        epoch = search.epoch + 1
        while search.epoch < epoch:
            # Before the step: after an epoch's last one its record must be written first.
            if interrupted():
                self.checkpoint()
                self.stop()
            search.train_step()
            bar.update()
        trained = time.perf_counter()
        record = {
            "epoch": epoch,
            "step": search.step,
            "lr": search.schedule.get_last_lr()[0],
            **search.epoch_means(),
            **measure(search),
            "step_seconds": (trained - began) / (search.step - first),
            "seconds": self.seconds,
            "peak_memory_mb": peak_memory_mb(search.device),
        }
        self._follow(record, bar)
        if epoch in search.config.keep_epochs:
            # Before the checkpoint: a run that is killed here comes by again.
            save_checkpoint(kept_epoch(self.folder, epoch), search.weights())
        self.checkpoint()

    def _follow(self, record: dict[str, Any], bar: Any) -> None:
        search = self.search
        w_EO = search.strategy.expected_weights()
        cell = argmax_cell(w_EO, search.config.derive_none, search.restriction)
        record["cell"] = cell.code
        record["warnings"] = warnings(search, record)
        self.tracker.epoch(record)
        self.tracker.edge_weights(w_EO.cpu(), search.step)
        self.tracker.cell(cell, search.step)
        if self.quiet:
            return
        robust = (
            f"  PGD-{search.config.probe_steps} {record['val_robust_acc']:6.1%}"
            if search.config.robust
            else ""
        )
        bar.write(
            f"epoch {record['epoch']:>3}/{search.config.epochs}  loss {record['train_loss']:.3f}"
            f"  clean {record['val_clean_acc']:6.1%}{robust}"
            f"  by alpha {cell.code}{self._rank(cell)}",
            file=sys.stdout,
        )
        for warning in record["warnings"]:
            bar.write(f"warning: {warning}", file=sys.stderr)

    def _rank(self, cell: Genotype) -> str:
        dataset, column = judged_by(self.search.config.dataset, self.search.config.robust)
        return f"  (rank {self.table.rank(cell, dataset, column):,} by {dataset} {column})"


def _prepare(config: SearchConfig) -> Search:
    device = resolve_device(config.device)
    try:
        resolve_impl(config.impl, device.type)
    except RuntimeError as error:
        raise UserError(f"{error}; build it with 'make native' or use --impl auto") from error
    return Search(config, load_images(config, device), device)


def _automatic_folder(config: SearchConfig) -> Path:
    return Path("runs") / f"search-{plain(config.dataset)}-{config.strategy}-seed{config.seed}"


def _description(config: SearchConfig, search: Search) -> dict[str, Any]:
    return {
        "config": config.to_dict(),
        "config_hash": config.hash(),
        "command": shlex.join(["python", *sys.argv]),
        "objective": config.objective_name,
        "eps": search.eps,
        "impl": resolve_impl(search.net.impl, search.device.type),
        "device_type": search.device.type,
        "steps_per_epoch": search.steps_per_epoch,
        "data": _data_facts(search.data, search),
        **describe(search.device),
    }


def _data_facts(data: ImageData, search: Search) -> dict[str, Any]:
    return {
        "name": data.name,
        "source": data.source,
        "stand_in": data.stand_in,
        "num_classes": data.num_classes,
        "image_size": data.image_size,
        "full_size": data.full_size,
        "train_images": len(data.train_y),
        "weight_images": len(search.weight_half),
        "alpha_images": len(search.alpha_half),
    }


def _front(run: _Run) -> Front:
    search, config = run.search, run.search.config
    cells = config.front_queries * (3 if config.front_baseline else 1)
    hidden = True if run.quiet else None
    with tqdm(total=cells, desc="score cells", unit="cell", disable=hidden) as bar:
        front = find_front(search, run.folder / SCORES_FILE, bar.update)
    record = front_record(search, front, run.table)
    write_json(run.folder / "front.json", record)
    run.tracker.figure("front", figures.found_front(record, run.table), search.step)
    return front


def _conclude(run: _Run) -> Path:
    search = run.search

    def progress(cells: Any) -> Any:
        return tqdm(cells, "score cells", unit="cell", disable=True if run.quiet else None)

    if search.preferences is None:
        derivation = derive_cells(search, progress)
    else:
        derivation = _front(run).derivation
    record = genotype_record(search, derivation, run.table, run.seconds)
    write_json(run.folder / "genotype.json", record)
    write_report(run.folder)
    return run.folder
