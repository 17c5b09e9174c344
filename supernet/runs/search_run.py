"""Starts or resumes a search in its run directory, follows it, and writes its results.

config.json  checkpoint.pt  metrics.jsonl  events.*
refine.json  genotype.json  front.json  finalists.json  report.md  figures/
"""

import dataclasses
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ops.mixed import resolve_impl
from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.load import load_table
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import write_json
from supernet.report.run_files import METRICS_FILE, REFINEMENT_FILE
from supernet.report.write import write_report
from supernet.runs.answer import (
    answers_in_order,
    derivation_of,
    proposals_of,
    starting_cells,
)
from supernet.runs.checkpoint import kept_epoch, load_checkpoint, save_checkpoint
from supernet.runs.finalists import write_finalists
from supernet.runs.folder import FORMAT, SCRIPTS, new_folder, plain, read_description
from supernet.runs.front_json import front_record
from supernet.runs.genotype_json import genotype_record
from supernet.runs.loop import Run
from supernet.runs.machine import (
    describe,
    device_name,
    refuse_other_surroundings,
    resolve_device,
)
from supernet.runs.refinement import Refinement
from supernet.search.config import ANSWER_FIELDS, WHERE_FIELDS, SearchConfig
from supernet.search.derive import argmax_cell
from supernet.search.finalists import choose_finalists, largest_cell
from supernet.search.measure import measure, warnings
from supernet.search.proposals import Proposals
from supernet.search.search import PROBE_STEPS, Search, load_images
from supernet.settings import differences, from_saved, resumed


def run_search(config: SearchConfig, *, quiet: bool = False) -> Path:
    """Search from the start in a new run directory, which is returned.

    Raises: UserError before anything is written; Interrupted after a checkpoint was.
    """
    table = load_table(config.data_root)
    search = _prepare(config)
    folder = new_folder(config.out, _automatic_folder(config))
    write_json(folder / "config.json", _description(config, search))
    return SearchRun(search, folder, epochs=config.epochs, quiet=quiet).judged(table).finish()


def resume_search(folder: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Continue the run in `folder` from its last checkpoint, or only write its results again.

    `given` are config fields the user named: they must agree with the run's.
    Raises: UserError when they do not, or when a file of the run cannot be read.
    """
    if given.get("out"):
        raise UserError("--resume already names the run directory; remove --out")
    description = read_description(folder, SearchRun.kind)
    config = config_of(folder, given)
    table = load_table(config.data_root)
    saved = load_checkpoint(folder / "checkpoint.pt", SearchRun.kind)
    search = _prepare(config, description["impl"])
    refuse_other_surroundings(folder, _surroundings(search))
    search.load_state_dict(saved["state"])
    # Where things are may have changed; the report and the next command look there.
    write_json(folder / "config.json", {**description, "config": config.to_dict()})
    run = SearchRun(
        search, folder, epochs=config.epochs, quiet=quiet, seconds=saved["seconds"], resumed=True
    )
    return run.judged(table).finish()


def answer_again(source: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Read another answer from the trained supernet of a finished search, in a new run directory.

    `given` are config fields of the answer and the refinement (a budget, a prior, ...), and places.
    Raises: UserError for other fields, or when the search in `source` has not finished.
    """
    description = read_description(source, SearchRun.kind)
    saved = config_of(source, {})
    changed = differences(saved, given, free=(*ANSWER_FIELDS, *WHERE_FIELDS))
    if changed:
        raise UserError(
            f"{source} was trained with another config ({'; '.join(changed)}); --from changes the "
            "answer alone, as --max-params does: start a new search for the rest"
        )
    config = dataclasses.replace(saved, **{"out": None, **given})
    table = load_table(config.data_root)
    checkpoint = load_checkpoint(source / "checkpoint.pt", SearchRun.kind)
    search = _prepare(config, description["impl"])
    refuse_other_surroundings(source, _surroundings(search))
    search.load_state_dict(checkpoint["state"])
    if search.step < search.total_steps:
        raise UserError(
            f"{source} has done {search.step:,} of {search.total_steps:,} steps; finish it with "
            f"--resume {shlex.quote(str(source))} first"
        )
    folder = new_folder(config.out, source.with_name(f"{source.name}-answer"))
    write_json(folder / "config.json", _description(config, search) | {"from": str(source)})
    run = SearchRun(
        search, folder, epochs=config.epochs, quiet=quiet, seconds=checkpoint["seconds"]
    )
    if (source / METRICS_FILE).is_file():  # the report shows how the supernet was trained
        shutil.copyfile(source / METRICS_FILE, folder / METRICS_FILE)
    return run.judged(table).finish()


def config_of(folder: Path, given: dict[str, Any]) -> SearchConfig:
    """The config of the search in `folder`.

    Raises: UserError when there is none, or when a field of `given` disagrees with it.
    """
    values = read_description(folder, SearchRun.kind)["config"]
    saved = from_saved(SearchConfig, values, folder / "config.json")
    return resumed(saved, given, folder, free=WHERE_FIELDS)


def measurement_of(search: Search) -> dict[str, Any]:
    """`measure` of a search as it stands, on its first held-out images."""
    return measure(
        search.net,
        search.strategy.expected_weights(),
        *search.images.held_out(search.config.probe_images),
        probe=search.probe,
        attack=search.attack,
        seed=search.config.seed,
    )


class SearchRun(Run[Search]):
    """A search in its directory."""

    kind = "search"
    script = SCRIPTS[kind]
    table: Table
    warned: frozenset[str] | set[str] = frozenset()
    """What the last epoch warned of: a warning is printed when it comes up."""

    def judged(self, table: Table) -> "SearchRun":
        """This run, judged by the benchmark's table."""
        self.table = table
        return self

    def introduce(self) -> None:
        """Say what runs where."""
        if not self.quiet:
            search, config = self.job, self.job.config
            impl = resolve_impl(search.net.impl, search.device.type)
            print(f"images   {search.data.source}")
            print(f"network  C={config.C}, N={config.N}, {impl} on {device_name(search.device)}")
            print(f"run      {self.folder}, config {config.hash()}", flush=True)

    def measure(self) -> dict[str, Any]:
        """Accuracies of the mixture, alpha's state, its cell, and warnings."""
        search, config = self.job, self.job.config
        record = measurement_of(search)
        w_EO = search.strategy.expected_weights()
        record["cell"] = argmax_cell(w_EO, config.reads_none, search.fits).code
        warming_up = search.epoch <= config.warmup_epochs
        record["warnings"] = [] if warming_up else warnings(
            record, attack=config.attack, num_classes=search.data.num_classes,
            none=config.reads_none,
        )  # fmt: skip
        return record

    def follow(self, record: dict[str, Any], write: Callable[..., None]) -> None:
        """Log an epoch, keep its weights where they are asked for, and print a line."""
        search, config = self.job, self.job.config
        self.tracker.epoch(record)
        w_EO, cell = search.strategy.expected_weights().cpu(), Genotype.parse(record["cell"])
        self.tracker.edge_weights(w_EO, cell, search.step, none=config.reads_none)
        self.tracker.cell(cell, search.step)
        if record["epoch"] in config.keep_epochs:
            # Before the checkpoint: a run that is killed here comes by again.
            save_checkpoint(
                kept_epoch(self.folder, record["epoch"]),
                {"kind": "kept epoch", **search.scoring_state()},
            )
        if self.quiet:
            return
        robust = f"  PGD-{PROBE_STEPS} {record['val_robust_acc']:6.1%}" if config.robust else ""
        write(
            f"epoch {record['epoch']:>3}/{config.epochs}  loss {record['train_loss']:.3f}"
            f"  clean {record['val_clean_acc']:6.1%}{robust}"
            f"  by alpha {record['cell']}{self._rank(record['cell'])}"
        )
        for warning in record["warnings"]:
            if warning not in self.warned:  # every epoch may say it again; the report has all
                write(f"warning: {warning}", file=sys.stderr)
        self.warned = set(record["warnings"])

    def conclude(self) -> None:
        """Read the cells, and leave genotype.json, front.json, finalists.json and the report."""
        search, config = self.job, self.job.config
        derivation = derivation_of(search)
        answers, menu = (
            proposals_of(search, derivation, self.table, allow_none=allow_none)
            for allow_none in (config.allows_none, True)
        )
        refinement = self._refine(starting_cells(config, derivation, answers), answers)
        if refinement["trainings"] or not config.epochs:
            derivation = derivation.improved(Genotype.parse(refinement["answer"]))
        record = genotype_record(
            config, search.data, derivation, answers, search.strategy.alpha,
            search.strategy.expected_weights(), self.table, self.seconds,
        )  # fmt: skip
        write_json(self.folder / "front.json", front_record(config, search.data, menu))
        write_json(self.folder / "genotype.json", record)
        self.tracker.result(derivation.chosen, self._values(record), config.to_dict(), search.step)
        if config.finalists:
            self._train_finalists(answers_in_order(refinement, answers), answers)
        write_report(self.folder, self.table)

    def _refine(self, cells: dict[str, list[Genotype]], proposals: Proposals) -> dict[str, Any]:
        """Refine from these cells; leaves refine.json, unless there was nothing to train."""
        search = self.job
        refinement = Refinement(
            search.config, search.images, self.folder, proposals, search.fits, self.quiet
        )
        record = refinement.run(cells)
        if record["trainings"]:
            write_json(self.folder / REFINEMENT_FILE, record)
        return record

    def _train_finalists(self, answers: Iterable[Genotype], proposals: Proposals) -> None:
        search, config = self.job, self.job.config
        name, largest = largest_cell(search.fits, config.seed)
        candidates = choose_finalists(
            answers, config.finalists, {name: largest, "prior": proposals.best("prior")[0]},
            allow_none=config.allows_none, seed=config.seed,
        )  # fmt: skip
        write_finalists(self.folder, search, candidates, self.table, quiet=self.quiet)

    def _values(self, record: dict[str, Any]) -> dict[str, float]:
        """The numbers that runs are compared by: size, and place in the benchmark."""
        values = {"params": record["params"], "flops": record["flops"]}
        dataset, column = judged_by(record["dataset"], record["robust"])
        values[column] = record["benchmark"]["results"][dataset][column]
        values["rank"] = record["benchmark"]["ranks"][dataset][column]
        return values

    def _rank(self, code: str) -> str:
        dataset, column = judged_by(self.job.config.dataset, self.job.config.robust)
        rank = self.table.rank(Genotype.parse(code), dataset, column)
        return f"  (rank {rank:,} by {dataset} {column})"


def _prepare(config: SearchConfig, impl: str | None = None) -> Search:
    """A search from the start. A run that goes on keeps the impl that it started with, also where
    "auto" would be another one by now."""
    device, impl = resolve_device(config.device), impl or config.impl
    try:
        resolve_impl(impl, device.type)
    except RuntimeError as error:
        raise UserError(f"{error}; build it with 'make native' or use --impl auto") from error
    search = Search(config, load_images(config, device), device)
    search.net.impl = impl
    return search


def _automatic_folder(config: SearchConfig) -> Path:
    return Path("runs") / f"search-{plain(config.dataset)}-{config.strategy}-seed{config.seed}"


def _description(config: SearchConfig, search: Search) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": SearchRun.kind,
        "config": config.to_dict(),
        "config_hash": config.hash(),
        "command": shlex.join(["python", *sys.argv]),
        "eps": search.eps,
        "steps_per_epoch": search.steps_per_epoch,
        **_surroundings(search),
        **describe(search.device),
    }


def _surroundings(search: Search) -> dict[str, Any]:
    return {
        "data": {
            **search.data.facts(),
            "full_size": search.data.full_size,
            "weight_images": len(search.images.weight_half),
            "alpha_images": len(search.images.alpha_half),
        },
        "impl": resolve_impl(search.net.impl, search.device.type),
        "device_type": search.device.type,
    }
