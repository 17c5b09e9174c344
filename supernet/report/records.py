"""Reads the files of a run for reports and derived commands: typed and bounded, or a UserError.

A file may come from anywhere: what is not as this program writes it is named in one sentence.
"""

import itertools
from pathlib import Path
from typing import Any

from supernet.benchmark.table import COLUMNS, DATASETS
from supernet.benchmark.true_front import BUDGETS
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import read_json, read_jsonl
from supernet.report import record_shapes as shapes
from supernet.shapes import require, unlike

Record = dict[str, Any]


def read_description(path: Path) -> Record:
    """config.json of a search."""
    return _read(path, shapes.DESCRIPTION)


def read_genotype(path: Path) -> Record:
    """genotype.json of a search."""
    record = read_json(path)
    if not isinstance(record, dict) or "proposals" not in record:
        raise UserError(
            f"{path.parent} was searched by an earlier version, whose results this one cannot "
            "report; search again with another --out"
        )
    require(record, shapes.GENOTYPE, path)
    if Genotype.parse(record["arch"]).code != record["code"]:
        raise unlike(path, "its arch and its code name different cells")
    derivation = record["derivation"]
    if derivation["chosen_by"] not in derivation["cells"]:
        raise unlike(path, "derivation has no cell by what it was chosen by")
    for row in record.get("baselines") or ():
        if "n" not in row and row["key"] not in shapes.BASELINES:
            raise unlike(path, "one of its baselines has no known key")
    return record


def read_refinement(path: Path) -> Record:
    """refine.json of a search."""
    record = _read(path, shapes.REFINEMENT)
    for sweep in record["sweeps"]:
        for judged in sweep["rounds"]:
            if not len(judged["cells"]) == len(judged["losses"]) == len(judged["scores"]):
                raise unlike(path, "a round has not as many losses and scores as cells")
    return record


def read_front(path: Path) -> Record:
    """front.json of a search."""
    record = _read(path, shapes.FRONT)
    cells, compared = record["cells"], record["compared"]
    if all(cell["place"] != 1 for cell in cells):
        raise unlike(path, "no cell is the first choice of its size")
    budgets = [f"{budget:.0f}" for budget in BUDGETS[record["size_metric"]]]
    for name in ("found_vs_true", "first_choices_vs_true"):
        if list(record[name]["regret"]) != budgets:
            raise unlike(path, f"{name}.regret is not by the budgets {', '.join(budgets)}")
    named = {(menu["name"], menu["per_size"]) for menu in compared}
    counts = {menu["per_size"] for menu in compared}
    wanted = set(itertools.product(("random", "synflow", "menu", "prior"), counts))
    if record["per_size"] not in counts or named != wanted or len(compared) != len(wanted):
        raise unlike(path, "compared has not every menu once for every number of choices")
    if any("datasets" not in menu for menu in compared if menu["name"] == "prior"):
        raise unlike(path, "compared does not say what its prior is made of")
    return record


def read_finalists(path: Path) -> Record:
    """finalists.json of a search."""
    record = _read(path, shapes.FINALISTS)
    dataset, column = record["judged_by"]
    if dataset not in DATASETS or column not in COLUMNS:
        raise unlike(path, "judged_by is not a data set and a column of the benchmark")
    count = len(record["seeds"])
    for cell in record["cells"]:
        values = cell["clean"] if record["eps"] is None else cell["robust"]
        if values is None or not len(values) == len(cell["clean"]) == count:
            raise unlike(path, "a cell has not an accuracy for each seed")
    return record


def read_evaluation(path: Path) -> Record:
    """evaluation.json of a network."""
    record = _read(path, shapes.EVALUATION)
    for row in record["results"]:
        if row["attack"] == "autoattack" and "version" not in row:
            raise unlike(path, "AutoAttack has no version")
    return record


def seeds_of(path: Path) -> list[int]:
    """The seeds of a seeds.json."""
    return [run["seed"] for run in _read(path, shapes.SEEDS)["runs"]]


def read_metrics(path: Path, shape: Record) -> list[Record]:
    """The lines of a metrics.jsonl, of which each has this shape."""
    records = read_jsonl(path)
    for number, record in enumerate(records, start=1):
        require(record, shape, f"{path} line {number}")
    return records


def _read(path: Path, shape: Record) -> Record:
    """Raises: UserError naming the file where it is no JSON or has another shape."""
    record = read_json(path)
    require(record, shape, path)
    found: Record = record
    return found
