"""What a report is made from: the files of a run directory, read once."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.load import load_table
from supernet.benchmark.locate import locate
from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.invocation import command
from supernet.report.record_shapes import EPOCH, SEARCHED
from supernet.report.records import (
    read_description,
    read_evaluation,
    read_finalists,
    read_front,
    read_genotype,
    read_metrics,
    read_refinement,
)
from supernet.report.words import GUIDE_NAMES
from supernet.shapes import unlike

FRONT_FILE, FINALISTS_FILE = "front.json", "finalists.json"
REFINEMENT_FILE = "refine.json"
"""The short trainings that improved a search's cell, round by round."""
METRICS_FILE = "metrics.jsonl"
"""The log of a search or of a training, a line per epoch."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation.json."""

    path: Path
    content: dict[str, Any]
    epochs: list[dict[str, Any]]
    """metrics.jsonl next to it: how the network was trained; empty without one."""


@dataclass(frozen=True)
class RunFiles:
    """A finished search."""

    folder: Path
    description: dict[str, Any]
    """config.json: the config and what the run depended on."""
    record: dict[str, Any]
    """genotype.json."""
    epochs: list[dict[str, Any]]
    """metrics.jsonl."""
    evaluations: list[Evaluated]
    """Every evaluation.json in the folder or one below it: stand-alone networks of this cell."""
    table: Table

    @classmethod
    def read(cls, folder: Path, table: Table | None = None) -> "RunFiles":
        """Read a run directory; without a table it is looked for where the run's data are.

        Raises: UserError when it holds no finished search.
        """
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} is not a run directory (it has no config.json); name one")
        if not (folder / "genotype.json").is_file():
            raise UserError(
                f"{folder} holds no finished search (genotype.json is missing); "
                f"finish it with {command('search')} --resume {shlex.quote(str(folder))}"
            )
        record = read_genotype(folder / "genotype.json")
        description = read_description(folder / "config.json")
        found = sorted([*folder.glob("evaluation.json"), *folder.glob("*/evaluation.json")])
        return cls(
            folder=folder,
            description=description,
            record=record,
            epochs=read_metrics(folder / METRICS_FILE, SEARCHED),
            evaluations=[_evaluated(path) for path in found],
            table=table or _table_of(description["config"].get("data_root")),
        )

    @property
    def config(self) -> dict[str, Any]:
        return self.description["config"]

    @property
    def cell(self) -> Genotype:
        return Genotype.parse(self.record["code"])

    @property
    def robust(self) -> bool:
        return bool(self.config["robust"])

    @property
    def guide(self) -> str:
        """What the chosen cell is read from, in words."""
        return GUIDE_NAMES[self.record["derivation"]["chosen_by"]]

    @property
    def judge(self) -> tuple[str, str]:
        """(data set, column) of the benchmark by which this run is judged."""
        return judged_by(self.config["dataset"], self.robust)

    @property
    def data_words(self) -> str:
        """The data set by its own name; a stand-in is called one."""
        data = self.description["data"]
        return f"a stand-in for {data['name']}" if data["stand_in"] else data["name"]

    def front(self) -> dict[str, Any] | None:
        """front.json; None where there is none."""
        path = self.folder / FRONT_FILE
        return read_front(path) if path.is_file() else None

    def finalists(self) -> dict[str, Any] | None:
        """finalists.json; None where there is none."""
        path = self.folder / FINALISTS_FILE
        return read_finalists(path) if path.is_file() else None

    def refinement(self) -> dict[str, Any] | None:
        """refine.json; None where there is none.

        Raises: UserError when it has more rounds than the config has numbers of steps.
        """
        path = self.folder / REFINEMENT_FILE
        record = read_refinement(path) if path.is_file() else None
        rounds = [each["number"] for sweep in (record or {"sweeps": []})["sweeps"]
                  for each in sweep["rounds"]]  # fmt: skip
        if rounds and max(rounds) >= len(self.config.get("refine_steps", ())):
            raise unlike(path, f"config.json has no refine_steps for round {max(rounds)}")
        return record

    def query(self, cell: Genotype) -> dict[str, Any]:
        """What the benchmark says of a cell."""
        return query_cell(self.table, cell)


def _evaluated(path: Path) -> Evaluated:
    metrics = path.parent / METRICS_FILE
    return Evaluated(path, read_evaluation(path), read_metrics(metrics, EPOCH))


def holds_judge(record: dict[str, Any], judge: str) -> bool:
    """Whether the data set that judges took part in the choice, as part of the prior."""
    proposals = record.get("proposals") or {"prior_used": False}
    return bool(proposals["prior_used"]) and judge in proposals["prior_datasets"]


def answers(record: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """What the cell is read from -> (in words, cell), of a genotype.json."""
    cells = record["derivation"]["cells"]
    return {guide: (GUIDE_NAMES[guide], cell) for guide, cell in cells.items()}


def _table_of(named: str | None) -> Table:
    """The table under the run's own data root, else under the default one, else the shipped one."""
    own = named if named is not None and Path(named).is_dir() and locate(named) else None
    return load_table(own)
