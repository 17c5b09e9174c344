"""Starts or resumes a search in its run directory, follows it, and writes its results.

config.json  checkpoint.pt  checkpoint-before.pt  metrics.jsonl  events.*  .lock
refine.json  genotype.json  front.json  finalists.json  report.md  figures/
"""

import dataclasses
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ops.mixed import why_impl
from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.load import load_table
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import write_json
from supernet.invocation import command_line
from supernet.report.run_files import METRICS_FILE, REFINEMENT_FILE
from supernet.report.write import write_report
from supernet.runs.answer import (
    answers_in_order,
    derivation_of,
    proposals_of,
    starting_cells,
)
from supernet.runs.checkpoint import kept_epoch, load_last, save_checkpoint
from supernet.runs.finalists import write_finalists
from supernet.runs.folder import (
    COMMANDS,
    CONFIG,
    FORMAT,
    clear,
    has_checkpoint,
    new_folder,
    old_folder,
    plain,
    read_description,
)
from supernet.runs.front_json import front_record
from supernet.runs.genotype_json import genotype_record
from supernet.runs.loop import Run, warn_of_few_images
from supernet.runs.machine import describe, device_name, refuse_other_surroundings
from supernet.runs.outcome import log_outcome
from supernet.runs.prepared import (
    KIND,
    config_of,
    impl_of,
    prepare,
    prepare_again,
    processes_in_words,
    surroundings,
    trained,
)
from supernet.runs.refinement import Refinement
from supernet.runs.state import load_state
from supernet.search.config import (
    ANSWER_FIELDS,
    MACHINE_FIELDS,
    WHERE_FIELDS,
    SearchConfig,
)
from supernet.search.derive import argmax_cell
from supernet.search.finalists import choose_finalists, largest_cell
from supernet.search.measure import measure, warnings
from supernet.search.proposals import Proposals
from supernet.search.search import PROBE_STEPS, Search
from supernet.settings import differences
from supernet.torchrun import current


def run_search(config: SearchConfig, *, quiet: bool = False) -> Path:
    """Search from the start in a new run directory, which is returned.

    Raises: UserError before anything is written; Interrupted after a checkpoint was.
    """
    table = load_table(config.data_root)
    search = prepare(config)
    made = new_folder(config.out, _automatic_folder(config), KIND)
    with search.ranks.first_holds(made) as folder:
        return _begin(search, folder, table, quiet=quiet)


def resume_search(folder: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Continue the run in `folder` from its last checkpoint, or only write its results again.

    A run that ended before its first checkpoint starts anew. `given` are config fields the user
    named: they must agree with the run's, but for WHERE_FIELDS and MACHINE_FIELDS.
    Raises: UserError when they do not, when another process is in the folder, or when a file of
            the run cannot be read.
    """
    if given.get("out"):
        raise UserError("--resume already names the run directory; remove --out")
    ranks = current()
    ranks.from_first(lambda: config_of(folder, given))  # what is refused leaves the folder as it is
    with ranks.first_holds(old_folder(folder)):
        config, description = ranks.from_first(
            lambda: (config_of(folder, given), read_description(folder, KIND))
        )
        table = load_table(config.data_root)
        if not ranks.from_first(lambda: has_checkpoint(folder)):
            config = dataclasses.replace(
                config, **{name: given[name] for name in MACHINE_FIELDS if name in given}
            )
            return _begin_anew(config, folder, description.get("from"), table, quiet=quiet)
        search = prepare_again(config, description, given)
        here = surroundings(search)
        ranks.from_first(lambda: refuse_other_surroundings(folder, here))
        saved = ranks.from_first(lambda: load_last(folder, KIND, config.hash()))
        load_state(search, saved["state"], folder)
        # Where things are may have changed; the report and the next command look there.
        description |= {
            "config": config.to_dict(),
            "config_hash": config.hash(),
            "impl": impl_of(search),
            "processes": ranks.count,
        }
        if ranks.first:
            write_json(folder / CONFIG, description)
        run = SearchRun(
            search, folder, epochs=config.epochs, quiet=quiet, seconds=saved["seconds"],
            resumed=True,
        )  # fmt: skip
        return run.judged(table).finish()


def answer_again(source: Path, given: dict[str, Any], *, quiet: bool = False) -> Path:
    """Read another answer from the trained supernet of a finished search, in a new run directory.

    `given` are config fields of the answer and the refinement (a budget, a prior, ...), places, and
    those of the machine.
    Raises: UserError for other fields, or when the search in `source` has not finished.
    """
    ranks = current()
    saved = ranks.from_first(lambda: config_of(source, {}))
    changed = differences(saved, given, free=(*ANSWER_FIELDS, *WHERE_FIELDS, *MACHINE_FIELDS))
    if changed:
        raise UserError(
            f"{source} was trained with another config ({'; '.join(changed)}); --from changes the "
            "answer alone, as --max-params does: start a new search for the rest"
        )
    config = dataclasses.replace(saved, **{"out": None, **given})
    table = load_table(config.data_root)
    search, seconds = trained(source, config, given)
    made = new_folder(config.out, source.with_name(f"{source.name}-answer"), KIND)
    with ranks.first_holds(made) as folder:
        return _begin(search, folder, table, quiet=quiet, source=source, seconds=seconds)


def _begin(
    search: Search,
    folder: Path,
    table: Table,
    *,
    quiet: bool,
    source: Path | None = None,
    seconds: float = 0.0,
) -> Path:
    """Run a search in its empty folder; `source` is the run whose supernet it has."""
    config, origin = search.config, {} if source is None else {"from": str(source)}
    first = search.ranks.first
    if first:
        write_json(folder / CONFIG, _description(config, search) | origin)
    run = SearchRun(search, folder, epochs=config.epochs, quiet=quiet, seconds=seconds)
    if first and source is not None and (source / METRICS_FILE).is_file():
        # The report shows how the supernet was trained.
        shutil.copyfile(source / METRICS_FILE, folder / METRICS_FILE)
    return run.judged(table).finish()


def _begin_anew(
    config: SearchConfig, folder: Path, source: object, table: Table, *, quiet: bool
) -> Path:
    """Run a search again that ended before its first checkpoint."""
    ranks = current()
    if ranks.first:
        print(f"{folder} has no checkpoint yet: the search starts anew", file=sys.stderr)
        clear(folder)
    if not isinstance(source, str):
        return _begin(prepare(config), folder, table, quiet=quiet)
    if not ranks.from_first(lambda: (Path(source) / CONFIG).is_file()):
        raise UserError(
            f"{folder} reads from the supernet in {source}, which is not there; start it again "
            f"with --from and that folder's name by now, and with --out {shlex.quote(str(folder))}"
        )
    search, seconds = trained(Path(source), config, {})
    return _begin(search, folder, table, quiet=quiet, source=Path(source), seconds=seconds)


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

    kind = KIND
    command = COMMANDS[kind]
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
            print(f"images   {search.data.source}")
            device = device_name(search.device)
            print(f"network  C={config.C}, N={config.N}, {impl_of(search)} on {device}")
            for sentence in processes_in_words(search):
                print(f"         {sentence}")
            print(f"kernels  {why_impl(search.net.impl, search.device.type)}")
            print(f"run      {self.folder}, config {config.hash()}", flush=True)
            if not config.refines:
                beside = (
                    "and the supernet only illustrates: --epochs 0 leaves it out"
                    if config.epochs
                    else "without a supernet; --epochs above 0 trains one beside them"
                )
                print(f"note     within a budget scores choose the cell, {beside}", flush=True)
            if config.epochs:
                warn_of_few_images(
                    config.batch_size, self.ranks, synchronised=config.sync_batch_norm
                )

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
                kept_epoch(self.folder, record["epoch"]), "kept epoch", self.config_hash,
                search.scoring_state(),
            )  # fmt: skip
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
        derivation = derivation_of(search, quiet=self.quiet)
        answers, menu = (
            proposals_of(search, derivation, self.table, allow_none=allow_none)
            for allow_none in (config.allows_none, True)
        )
        refinement = self._refine(starting_cells(config, derivation, answers, search.fits), answers)
        answer = Genotype.parse(refinement["answer"])
        if refinement["trainings"]:
            derivation = derivation.improved(answer)
        elif config.proposed_by != ("supernet",):
            derivation = derivation.improved(answer, "proposed")
        record = genotype_record(
            config, search.data, derivation, answers, search.strategy.alpha,
            search.strategy.expected_weights(), self.table, self.seconds,
        )  # fmt: skip
        if self.ranks.first:
            write_json(self.folder / "front.json", front_record(config, search.data, menu))
            write_json(self.folder / "genotype.json", record)
        if config.finalists:
            self._train_finalists(answers_in_order(refinement, answers), answers)
        if self.ranks.first:
            log_outcome(self.tracker, self.folder, self.table, search.step, quiet=self.quiet)
            write_report(self.folder, self.table, quiet=self.quiet)

    def _refine(self, cells: dict[str, list[Genotype]], proposals: Proposals) -> dict[str, Any]:
        """Refine from these cells; leaves refine.json, unless there was nothing to train."""
        search = self.job
        refinement = Refinement(
            search.config, search.images, self.folder, proposals, search.fits, self.quiet,
            self.ranks,
        )  # fmt: skip
        record = refinement.run(cells)
        if record["trainings"] and self.ranks.first:
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

    def _rank(self, code: str) -> str:
        dataset, column = judged_by(self.job.config.dataset, self.job.config.robust)
        rank = self.table.rank(Genotype.parse(code), dataset, column)
        return f"  (rank {rank:,} by {dataset} {column})"


def _automatic_folder(config: SearchConfig) -> Path:
    return Path("runs") / f"search-{plain(config.dataset)}-{config.strategy}-seed{config.seed}"


def _description(config: SearchConfig, search: Search) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": KIND,
        "config": config.to_dict(),
        "config_hash": config.hash(),
        "command": search.ranks.launched(command_line()),
        "processes": search.ranks.count,
        "eps": search.eps,
        "steps_per_epoch": search.steps_per_epoch,
        **surroundings(search),
        **describe(search.device),
    }
