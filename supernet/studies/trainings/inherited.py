"""Whether weights of a supernet help as a start of short trainings, judged by the benchmark.

Each cell is trained twice on the same images in the same order: from its own random weights, and
with the kernels that a finished search has for its operators.
"""

import functools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from supernet.benchmark.correlation import kendall
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import append_jsonl, read_json, recover_jsonl, write_json
from supernet.nets.derived import DerivedNetwork
from supernet.nets.supernet import Supernet
from supernet.processes import one_thread
from supernet.progress import with_progress
from supernet.report.markdown import table as markdown_table
from supernet.runs.prepared import config_of, trained
from supernet.runs.refinement import HELD_OUT, seed_of
from supernet.search.search import Search
from supernet.studies.trainings.config import StudyConfig
from supernet.studies.trainings.judged import COLUMN, cells_of
from supernet.train.short import Recipe, train_briefly

DESCRIPTION, LEDGER = "supernet.json", "inherited.jsonl"
STARTS = ("random", "inherited")


def train_both(study: StudyConfig, run: Path, *, quiet: bool) -> list[dict[str, Any]]:
    """A line for each training: `cell`, `steps`, `start` and held-out `loss`; those that the
    folder's ledger lacks are made, one after the other.

    run: a finished search with a supernet, whose images and halves are taken.
    Raises: UserError where the run is none or is on another data set than the study, and where the
            folder has trainings from another run's supernet or of other lengths.
    """
    config = config_of(run, {})
    if config.dataset != study.dataset:
        raise UserError(f"{run} is on {config.dataset}, not {study.dataset}; name another run")
    search, _ = trained(run, config, {})
    folder = Path(study.out)
    ledger, path = folder / LEDGER, folder / DESCRIPTION
    known = {"config_hash": config.hash(), "seed": config.seed, "steps": list(study.steps)}
    if path.exists() and read_json(path) != known:
        raise UserError(f"{path} is of another run or of other steps; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, known)
    lines = {_key(line): line for line in recover_jsonl(ledger)}
    wanted = list(_wanted(study))
    for key in with_progress(wanted, "short trainings", "training", quiet=quiet):
        if key not in lines:
            line = dict(zip(("cell", "steps", "start"), key, strict=True))
            lines[key] = {**line, "loss": _loss(study, search, *key)}
            append_jsonl(ledger, lines[key])
    return [lines[key] for key in wanted]


def judged_starts(
    study: StudyConfig, lines: Sequence[Mapping[str, Any]], table: Table
) -> list[dict[str, Any]]:
    """Of each length and start Kendall's tau of the loss with the benchmark's COLUMN, the `rank` of
    the least loss's cell, and the `median` loss."""
    ranks = table.ranks(study.dataset, COLUMN)
    rows = [table.row(cell) for cell in cells_of(study)]
    truth = table.values(study.dataset, COLUMN)[rows]
    found = []
    for steps in study.steps:
        for start in STARTS:
            losses = [
                line["loss"] for line in lines if (line["steps"], line["start"]) == (steps, start)
            ]
            found.append({
                "dataset": study.dataset, "cell": study.start, "steps": steps, "start": start,
                "kendall": kendall(-np.array(losses), truth),
                "rank": int(ranks[rows[int(np.argmin(losses))]]),
                "median": statistics.median(losses),
            })  # fmt: skip
    return found


def markdown(records: Sequence[Mapping[str, Any]]) -> str:
    """A table of `judged_starts`."""
    first = records[0]
    return "\n\n".join([
        "# Weights of a supernet as a start",
        f"{first['cell']} and its neighbours on {first['dataset']}, each trained from random "
        "weights and from those of a supernet; ranks by PGD-20 8/255.",
        markdown_table(
            ("steps", "start", "Kendall", "rank of the least loss", "median loss"),
            [
                [str(r["steps"]), r["start"], f"{r['kendall']:.2f}", f"{r['rank']:,}",
                 f"{r['median']:.3f}"]
                for r in records
            ],
            "rlrrr",
        ),
    ]) + "\n"  # fmt: skip


@torch.no_grad()
def inherit(net: DerivedNetwork, supernet: Supernet) -> None:
    """Give a cell's network the kernels, statistics and classifier of a supernet.

    The last of the supernet's cells of a stage is repeated where the network has more of them. What
    the supernet lacks, the scales of batch norm, stays.
    """
    saved = supernet.state_dict()
    N, N_saved = net.N, supernet.N
    for name, value in net.state_dict().items():
        parts = name.split(".")
        if parts[0] == "cells":
            (stage, number), edge = divmod(int(parts[1]), N), int(parts[3])
            cell = stage * N_saved + min(number, N_saved - 1)
            op = net.genotype.ops[edge]
            parts = ["cells", str(cell), "edges", str(edge), "ops", str(op), *parts[4:]]
        source = saved.get(".".join(parts))
        if source is not None:
            value.copy_(source)


def _wanted(study: StudyConfig) -> Iterator[tuple[str, int, str]]:
    for steps in study.steps:
        for cell in cells_of(study):
            for start in STARTS:
                yield cell.code, steps, start


def _key(line: Mapping[str, Any]) -> tuple[str, int, str]:
    return line["cell"], line["steps"], line["start"]


def _loss(study: StudyConfig, search: Search, code: str, steps: int, start: str) -> float:
    seed = seed_of(search.config.seed, study.steps.index(steps))
    prepare = functools.partial(inherit, supernet=search.net) if start == "inherited" else None
    data, recipe = search.images.as_split(HELD_OUT), Recipe(steps=steps)
    with one_thread():
        return train_briefly(Genotype.parse(code), data, recipe, seed, prepare).judged
