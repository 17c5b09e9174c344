"""evidence.json: its format, and a finished search as one of its records. No torch."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supernet.benchmark.table import COSTS, DATASETS, Table
from supernet.errors import UserError
from supernet.files import atomic_write, read_json
from supernet.proxies.standing import standings_of
from supernet.report.record_shapes import AMOUNT, CODE, COUNT, NUMBER, REFINEMENT
from supernet.report.records import read_metrics
from supernet.report.run_files import METRICS_FILE, REFINEMENT_FILE
from supernet.report.words import GUIDE_NAMES
from supernet.shapes import SHOWN, Each, Items, Maybe, require, unlike
from supernet.studies.evidence.judge import judged
from supernet.studies.evidence.plan import Run

EVIDENCE = "evidence.json"
FINISHED = "genotype.json"
"""A run directory that has it is finished."""
FORMAT = 3
"""Format 2 held one data set and searches without short trainings."""
DIGITS = 4
"""Of losses and standings in a record."""

Record = dict[str, Any]

_CELLS = Each({"code": CODE})
_RESULT = {
    "derivation": {"chosen_by": tuple(GUIDE_NAMES), "cells": _CELLS},
    "proposals": {"cells": _CELLS}, "seconds": AMOUNT,
}  # fmt: skip
_DESCRIPTION = {
    "device": str, "device_type": str, "threads": COUNT, "impl": str, "data": {"source": str},
    "versions": Each(str), "commit": Maybe((str, None)), "config_hash": str,
    "attack_dtype": (str, None),
}  # fmt: skip
_REACHED = {"hypervolume_ratio": NUMBER}
_FRONT = {
    "picked_by": str, "per_size": COUNT, "found_vs_true": _REACHED,
    "first_choices_vs_true": _REACHED,
    "compared": [{"name": str, "per_size": COUNT, **_REACHED}],
    # One of every data set is drawn.
    "judged_by": tuple(DATASETS), "size_metric": tuple(COSTS),
    "cells": Items({"code": CODE, "place": COUNT}, 1),
}  # fmt: skip
"""What a record takes from the files of a finished search, with its shape."""
_EVIDENCE = {
    "note": Maybe((str, None)), "shared": Maybe(Each(dict)),
    "runs": [{
        "dataset": str, "row": str, "budget": (str, None), "seed": int, "flags": str,
        "config_hash": str,
    }],
}  # fmt: skip
"""What a run of the evidence goes on from; a page takes more, see `page.write_page`."""


def read_evidence(path: Path) -> Record:
    """The content of an evidence.json.

    Raises: UserError when the file is missing, damaged or of another format.
    """
    evidence = read_json(path)
    written = str(evidence.get("format", 1) if isinstance(evidence, dict) else "unknown")[:SHOWN]
    if not isinstance(evidence, dict) or evidence.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {written}, this version reads format {FORMAT}: use the version "
            "that wrote it, or give another --out"
        )
    require(evidence, _EVIDENCE, path)
    return dict(evidence)


def write_evidence(path: Path, evidence: Mapping[str, Any]) -> None:
    """Write evidence.json, its runs last and one a line."""
    head = {name: value for name, value in evidence.items() if name != "runs"}
    runs = ",\n".join(f"    {json.dumps(run, allow_nan=False)}" for run in evidence["runs"])
    text = json.dumps(head, indent=2, allow_nan=False).removesuffix("\n}")
    with atomic_write(path) as stream:
        stream.write(f'{text},\n  "runs": [\n{runs}\n  ]\n}}\n')


def key_of(record: Mapping[str, Any]) -> tuple[str, str, str | None, int]:
    """The `key` of the run that a record is of."""
    return record["dataset"], record["row"], record["budget"], record["seed"]


def record_of(run: Run, folder: Path, table: Table) -> Record:
    """The record of a finished search: its cells, the way to its answer, costs, what its front
    reaches, and the circumstances it ran in.

    `cells` has the cell by each guide and by each proposal (free, prior, both), with its place on
    the data set; `path` has the answers of the refinement's sweeps, `sweeps` what each compared.
    `trainings` and `cpu_seconds` are what the search alone would have cost.
    """
    result, description, front = (
        _typed(folder / name, shape)
        for name, shape in (
            (FINISHED, _RESULT), ("config.json", _DESCRIPTION), ("front.json", _FRONT)
        )
    )  # fmt: skip
    derivation = result["derivation"]
    return {
        "dataset": run.images.name,
        "row": run.row.name,
        "budget": run.budget,
        "seed": run.seed,
        "flags": shlex.join(run.flags),
        "chosen_by": derivation["chosen_by"],
        "cells": {
            guide: judged(table, cell["code"], run.images.name)
            for guide, cell in {**result["proposals"]["cells"], **derivation["cells"]}.items()
        },
        **_refinement(folder, description),
        "front": front_numbers(front),
        "seconds": round(result["seconds"], 1),
        "machine": description["device"],
        "threads": description["threads"],
        "impl": description["impl"],
        "attack_dtype": description["attack_dtype"],
        "images": description["data"]["source"],
        "versions": description["versions"],
        "commit": description.get("commit"),
        "config_hash": description["config_hash"],
    }


def answer(record: Mapping[str, Any], guide: str = "answer") -> Record:
    """The cell of a record by a guide, or its answer; with its place."""
    found: Record = record["cells"][record["chosen_by"] if guide == "answer" else guide]
    return found


def front_numbers(front: Mapping[str, Any]) -> Record:
    """Of a front.json the hypervolumes, in shares of the true front's: a pair each, of the first
    choice of each size and of all `per_size` choices.

    `hypervolume` is that of the front itself, `compared` has those of menus that need no search.
    """
    pairs: dict[str, list[float]] = {}
    for menu in sorted(front["compared"], key=lambda menu: menu["per_size"]):
        pairs.setdefault(menu["name"], []).append(round(menu["hypervolume_ratio"], 6))
    own = (front["first_choices_vs_true"], front["found_vs_true"])
    return {
        "picked_by": front["picked_by"],
        "per_size": front["per_size"],
        "hypervolume": [round(found["hypervolume_ratio"], 6) for found in own],
        "compared": pairs,
    }


def compared(sweeps: Sequence[Mapping[str, Any]]) -> list[Record]:
    """The sweeps of a refine.json that trained cells, with the standing of every cell.

    Raises: ValueError where a round has other numbers of cells, losses and scores.
    """
    return [
        {
            "start": sweep["start"],
            "chosen": sweep["chosen"],
            "standings": {
                cell: round(standing, DIGITS)
                for cell, standing in standings_of(
                    [(each["cells"], each["losses"], each["scores"]) for each in sweep["rounds"]],
                    with_start=sweep["start"] is not None,
                ).items()
            },
            "losses": [
                {
                    cell: round(loss, DIGITS)
                    for cell, loss in zip(each["cells"], each["losses"], strict=True)
                }
                for each in sweep["rounds"]
            ],
        }
        for sweep in sweeps
        if sweep["rounds"]
    ]


def _typed(path: Path, shape: Record) -> Record:
    content: Record = read_json(path)
    require(content, shape, path)
    return content


def _refinement(folder: Path, description: Mapping[str, Any]) -> Record:
    """Proposals, path, and what supernet and short trainings cost."""
    path = folder / REFINEMENT_FILE
    metrics = read_metrics(folder / METRICS_FILE, {"seconds": AMOUNT})
    found = _typed(path, REFINEMENT) if path.is_file() else {}
    try:
        sweeps = compared(found.get("sweeps", []))
    except ValueError as error:
        raise unlike(path, "a round has not as many losses and scores as cells") from error
    # On a GPU the threads wait for it.
    threads = description["threads"] if description["device_type"] == "cpu" else 1
    return {
        "proposals": found.get("proposals", {}),
        "sweeps": sweeps,
        "path": list(dict.fromkeys(sweep["chosen"] for sweep in found.get("sweeps", []))),
        "trainings": found.get("trainings", 0),
        "cpu_seconds": {
            "supernet": round(threads * metrics[-1]["seconds"], 1) if metrics else 0.0,
            "refine": round(found.get("cpu_seconds", 0.0), 1),
        },
    }
