"""One training of a sweep: a cell is trained by a recipe and measured. Runs in a worker."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from supernet.benchmark.own_table import FORMAT
from supernet.cells.genotype import Genotype
from supernet.data.sharing import from_arrays
from supernet.finite import Diverged
from supernet.runs.machine import device_name, versions
from supernet.train.config import TrainConfig
from supernet.train.evaluate import evaluate
from supernet.train.training import Training


class Task(NamedTuple):
    """One training that is asked for."""

    code: str
    seed: int
    recipe: str


@dataclass(frozen=True)
class Plan:
    """What all trainings of a sweep share, in a form that processes can be sent."""

    recipes: Mapping[str, Mapping[str, Any]]
    """Name -> fields of `TrainConfig`."""
    images: Mapping[int | None, Mapping[str, Any]]
    """Limit of training images -> fields of `ImageData`, with arrays for tensors."""
    digests: Mapping[int | None, str]
    attacks: tuple[str, ...]
    radii: tuple[float, ...] | None
    threads: int
    on_gpu: bool
    side: int | None = None


def train_and_measure(plan: Plan, task: Task) -> dict[str, Any]:
    """A line of the sweep's table: the cell, how it was trained, and what came of it.

    The network and its accuracies are those of scripts/train.py and scripts/evaluate.py with the
    same settings and as many threads. A training that diverges is a line with `status` "diverged"
    and the reason, and without results.
    """
    torch.set_num_threads(plan.threads)
    device = torch.device("cuda" if plan.on_gpu else "cpu")
    wall, cpu = time.perf_counter(), time.process_time()
    fields = dict(plan.recipes[task.recipe])
    limit = fields["limit"]
    data = from_arrays(plan.images[limit], device)
    cell = Genotype.parse(task.code)
    config = TrainConfig(
        **fields, genotype=task.code, dataset=data.name, seed=task.seed, side=plan.side,
        probe_images=0,
    )  # fmt: skip
    line: dict[str, Any] = {
        "format": FORMAT,
        "cell": cell.code,
        "arch": cell.arch,
        "seed": task.seed,
        "recipe": task.recipe,
        "status": "done",
        "reason": None,
        "dataset": data.name,
        "image_size": data.image_size,
        "num_classes": data.num_classes,
        "train_images": len(data.train_y),
        "test_images": len(data.test_y),
        "images_digest": plan.digests[limit],
        "stand_in": data.stand_in,
        "params": cell.params(data.num_classes, config.C, config.N),
        "flops": cell.flops(data.num_classes, data.image_size, config.C, config.N),
    }
    training = Training(config, cell, data, device)
    results, rows, train_loss = {}, [], None
    try:
        for _ in range(config.epochs):
            for _ in range(training.steps_per_epoch):
                training.train_step()
            train_loss = training.epoch_means()["train_loss"]
        network = training.result.eval().use_layout(torch.channels_last)
        rows = evaluate(network, data, attacks=plan.attacks, radii=plan.radii)
        results = {row["name"]: row["accuracy"] for row in rows if row["name"] in _names(rows)}
    except Diverged as error:
        line |= {"status": "diverged", "reason": str(error)}
    return {
        **line,
        "results": results,
        "measured": [_measured(row) for row in rows],
        "train_loss": train_loss,
        "eps": training.eps,
        "training": fields,
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "machine": {
            "host": os.uname().nodename, "device": device_name(device), "threads": plan.threads,
        },
        "versions": versions(),
    }  # fmt: skip


def _names(rows: list[dict[str, Any]]) -> set[str]:
    """Columns of the table: every attack, and neither of the worst cases' sums."""
    return {row["name"] for row in rows if row["attack"] != "worst_case"}


def _measured(row: dict[str, Any]) -> dict[str, Any]:
    """How an accuracy was measured, without what the line says already."""
    return {key: v for key, v in row.items() if key not in ("dataset", "split", "stages")}
