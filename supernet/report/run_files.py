"""What a report is made from: the files of a run directory, read once."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.space import NUM_EDGES, NUM_OPS
from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.load import load_table
from supernet.benchmark.locate import locate
from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import read_json, read_jsonl
from supernet.invocation import command
from supernet.report.words import GUIDE_NAMES
from supernet.shapes import require

REFINEMENT_FILE = "refine.json"
"""The short trainings that improved a search's cell, round by round."""
METRICS_FILE = "metrics.jsonl"
"""The log of a search or of a training, a line per epoch."""


EPOCH = {"epoch": int, "step": int}
"""What a line of a log holds of an epoch, with its shape."""
SEARCHED = {**EPOCH, "edge_weights": [[float]]}
"""The same of an epoch of a search."""
DESCRIPTION = {
    "config": {"dataset": str, "robust": bool, "data_root": (str, None)},
    "data": {"name": str, "source": str, "stand_in": bool, "num_classes": int, "full_size": int,
             "weight_images": int, "alpha_images": int},
    "command": str, "config_hash": str, "device": str, "eps": float,
    "impl": str, "steps_per_epoch": int, "versions": dict,
}  # fmt: skip
"""What a report takes from config.json, with its shape."""
RECORD = {
    "arch": str, "code": str, "index": (int, None), "params": int, "flops": int, "seed": int,
    "seconds": float, "objective": str, "alpha_follows": [str], "proposals": (dict, None),
    "derivation": {"chosen_by": str, "cells": dict},
}  # fmt: skip
"""What a report takes from genotype.json, with its shape."""


def read_metrics(path: Path, shape: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a log, of which each has this shape.

    Raises: UserError naming the line that is not a JSON object or has another shape.
    """
    records = read_jsonl(path)
    for number, record in enumerate(records, start=1):
        require(record, shape, f"{path} line {number}")
        _refuse_odd_weights(record, f"{path} line {number}")
    return records


def _refuse_odd_weights(record: dict[str, Any], where: str) -> None:
    rows = record.get("edge_weights")
    if rows is not None and [len(row) for row in rows] != [NUM_OPS] * NUM_EDGES:
        raise UserError(
            f"{where} has no weights of {NUM_EDGES} edges with {NUM_OPS} operators; delete the line"
        )


@dataclass(frozen=True)
class Evaluated:
    """An evaluation.json."""

    path: Path
    content: dict[str, Any]


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
        description, record = read_json(folder / "config.json"), read_json(folder / "genotype.json")
        if not isinstance(record, dict) or "proposals" not in record:
            raise UserError(
                f"{folder} was searched by an earlier version, whose results this one cannot "
                "report; search again with another --out"
            )
        require(description, DESCRIPTION, folder / "config.json")
        require(record, RECORD, folder / "genotype.json")
        found = sorted([*folder.glob("evaluation.json"), *folder.glob("*/evaluation.json")])
        return cls(
            folder=folder,
            description=description,
            record=record,
            epochs=read_metrics(folder / METRICS_FILE, SEARCHED),
            evaluations=[Evaluated(path, read_json(path)) for path in found],
            table=table or _table_of(description["config"]["data_root"]),
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

    def query(self, cell: Genotype) -> dict[str, Any]:
        """What the benchmark says of a cell."""
        return query_cell(self.table, cell)


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
