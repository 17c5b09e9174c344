"""evidence.json: its format, and a finished search as one of its records. No torch."""

import shlex
from pathlib import Path
from typing import Any

from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import read_json
from supernet.studies.evidence.judge import judged
from supernet.studies.evidence.plan import Run

EVIDENCE = "evidence.json"
FORMAT = 2
"""Format 1 held the choice by score, and fronts of searches for a front."""


def read_evidence(path: Path) -> dict[str, Any]:
    """The content of an evidence.json.

    Raises: UserError when the file is missing, damaged or of another format.
    """
    evidence = read_json(path)
    written = evidence.get("format", 1) if isinstance(evidence, dict) else "unknown"
    if written != FORMAT:
        raise UserError(
            f"{path} has format {written}, this version reads format {FORMAT}: use the version "
            "that wrote it, or give another --out"
        )
    return dict(evidence)


def record_of(run: Run, folder: Path, table: Table) -> dict[str, Any]:
    """The record of a finished search: its cells and gains, what its front reaches, and the
    circumstances it ran in.

    `cells` has the cell by each guide with its place in the table; `front` is the `found_vs_true`
    of front.json.
    """
    result, front = read_json(folder / "genotype.json"), read_json(folder / "front.json")
    description, derivation = read_json(folder / "config.json"), result["derivation"]
    return {
        "row": run.row.name,
        "seed": run.seed,
        "flags": shlex.join(run.flags),
        "chosen_by": derivation["chosen_by"],
        "cells": {
            guide: {**judged(table, cell["code"]), "params": cell["params"]}
            for guide, cell in derivation["cells"].items()
        },
        "gains": {by: derivation[by] for by in ("gains", "inner_gains")},
        "front": front["found_vs_true"],
        "front_codes": [cell["code"] for cell in front["cells"]],
        "seconds": result["seconds"],
        "machine": description["device"],
        "impl": description["impl"],
        "images": description["data"]["source"],
        "torch": description["versions"]["torch"],
        "commit": description.get("commit"),
        "config_hash": description["config_hash"],
    }
