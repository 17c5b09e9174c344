"""What is collected in evidence.json, and which runs of the plan are still to be made."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from supernet.benchmark.load import load_table
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import read_json
from supernet.report.figures import found_front
from supernet.search.config import WHERE_FIELDS, SearchConfig
from supernet.settings import differences, from_saved
from supernet.shapes import require
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.judge import within_budget, without_search
from supernet.studies.evidence.plan import BASE, IMAGES, JUDGE, Row, Run, runs_of
from supernet.studies.evidence.records import (
    EVIDENCE,
    FORMAT,
    Record,
    answer,
    key_of,
    read_evidence,
    record_of,
    write_evidence,
)
from supernet.studies.evidence.shared import SharedTrainings
from supernet.text import amount

DRAWN = "main"
"""The row whose front is drawn, of its first seed."""


class Evidence:
    """evidence.json with the runs so far; everything else in it is made anew.

    A row whose runs were made with another config than today's (a version before) stays as it is,
    and gets no further runs: a row is of one config.
    Raises: UserError when it has a run with other flags than the plan.
    """

    def __init__(self, config: EvidenceConfig, rows: tuple[Row, ...]) -> None:
        self.config, self.rows, self.table = config, rows, load_table(config.data_root)
        self.path, self.runs = Path(config.out) / EVIDENCE, Path(config.runs)
        self.shared = SharedTrainings(self.runs / "judged")
        self.plan = runs_of(rows, config.search_flags or "")
        before = read_evidence(self.path) if self.path.exists() else {}
        self.content: Record = {
            **_head(config, rows, self.table),
            "note": before.get("note"),
            "runs": before.get("runs", []),
        }
        done = {key_of(record): record for record in self.content["runs"]}
        self.closed: set[tuple[str, str]] = set()
        """(data set, row) of runs with another config than today's."""
        for run in self.plan:  # a page has one set of flags
            if run.key in done:
                _refuse_other_flags(run, done[run.key], self.path)
                if done[run.key]["config_hash"] != run.config().hash():
                    self.closed.add((run.images.name, run.row.name))

    def left(self) -> list[Run]:
        """The runs that are missing, as the settings restrict them.

        Raises: UserError when a folder has another run, or a row's other runs have another config.
        """
        config = self.config
        wanted = runs_of(
            self.rows, config.search_flags or "",
            images=config.datasets, names=config.rows, seeds=config.seeds,
        )  # fmt: skip
        done = {key_of(record) for record in self.content["runs"]}
        left = [run for run in wanted if run.key not in done]
        for run in left:
            if (run.images.name, run.row.name) in self.closed:
                raise UserError(
                    f"{self.path} has runs of {run.row.name} on {run.images.name} with another "
                    "config under the same flags (a preset or a version has changed since); take "
                    "them out, leave that row out with --rows, or give another --out and --runs"
                )
            self.shared.check(run.config())
            _refuse_folder(self.runs / run.name, run.config())
        return left

    def record(self, run: Run) -> None:
        """Add a finished run, and write the file."""
        folder, content = self.runs / run.name, self.content
        found = record_of(run, folder, self.table)
        if run.budget is not None:
            best = content["budgets"][run.images.name][run.budget]["best"]
            found["regret_within"] = round(best - answer(found)[JUDGE], 6)
        order = {each.key: number for number, each in enumerate(self.plan)}
        content["runs"].append(found)
        content["runs"].sort(key=lambda record: order.get(key_of(record), len(order)))
        if (run.row.name, run.seed) == (DRAWN, run.row.seeds[0]):
            picture = self.path.parent / "fronts" / run.images.name
            found_front(read_json(folder / "front.json"), self.table, picture)
        self.write()

    def write(self) -> None:
        """Write evidence.json."""
        write_evidence(self.path, self.content)


def _head(config: EvidenceConfig, rows: tuple[Row, ...], table: Table) -> Record:
    """What evidence.json has besides its runs, which does not depend on them."""
    names = [images.name for images in IMAGES]
    budgets = dict.fromkeys(budget for row in rows for budget in row.budgets)
    return {
        "format": FORMAT,
        "judge": JUDGE,
        "base": " ".join(filter(None, (BASE, config.search_flags))),
        "images": [dataclasses.asdict(images) for images in IMAGES],
        "plan": [dataclasses.asdict(row) for row in rows],
        "tables": table.sources,
        "without_search": {name: without_search(table, name) for name in names},
        "budgets": {
            name: {budget: within_budget(table, name, amount(budget)) for budget in budgets}
            for name in names
        },
    }


def _refuse_other_flags(run: Run, record: dict[str, Any], path: Path) -> None:
    flags = shlex.join(run.flags)
    if record["flags"] != flags:
        raise UserError(
            f"{path} has {run.name} with the flags {record['flags']}, not {flags}; give another "
            "--out and --runs"
        )


def _refuse_folder(folder: Path, expected: SearchConfig) -> None:
    path = folder / "config.json"
    if path.is_file():
        description = read_json(path)
        require(description, {"config": dict}, path)
        saved = from_saved(SearchConfig, description["config"], path)
        changed = differences(saved, vars(expected), free=WHERE_FIELDS)
        if changed:
            raise UserError(
                f"{folder} holds a run of another config ({'; '.join(changed)}); give another "
                "--runs"
            )
