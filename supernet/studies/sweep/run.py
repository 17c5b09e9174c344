"""A sweep from start to end: its folder, what is left to do, its lines, its progress.

config.json  table.jsonl  .lock

This process alone writes the table: a line for each training, as soon as it is there.
"""

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from supernet.benchmark.own_table import FORMAT as LINE_FORMAT
from supernet.benchmark.own_table import SHAPE
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset
from supernet.data.sharing import as_arrays
from supernet.errors import UserError
from supernet.files import append_jsonl, recover_jsonl, write_json
from supernet.invocation import command, command_line
from supernet.on_ray import Lost, OnRay, Share
from supernet.progress import Progress
from supernet.report.words import column_name
from supernet.runs.folder import CONFIG, FORMAT, fingerprint, plain, read_description
from supernet.runs.interrupts import Interrupted
from supernet.runs.lock import locked
from supernet.runs.machine import describe, same_images
from supernet.settings import from_saved, without_place
from supernet.shapes import misfit
from supernet.studies.sweep.cells import cells_of
from supernet.studies.sweep.config import PLACE_FIELDS, TASK_FIELDS, SweepConfig
from supernet.studies.sweep.fitting import Recipes, fit_recipes
from supernet.studies.sweep.work import Plan, Task, train_and_measure
from supernet.train.evaluate import check

KIND = "sweep"
TABLE = "table.jsonl"


def run_sweep(config: SweepConfig, *, quiet: bool = False) -> Path:
    """Do what the folder's table does not hold yet; returns the folder.

    Raises: UserError before anything is written: no cells, bad images, a folder of something else;
            Interrupted after Ctrl-C, saying how to go on.
    """
    cells = cells_of(config)
    folder = Path(config.out or f"runs/sweep-{plain(config.dataset)}")
    config, recipes, lines = fit_recipes(config)
    if lines and not quiet:
        print("\n".join(lines))
    images = _load(config, recipes)
    with locked(folder):
        _open(folder, config, next(iter(images.values())))
        path = folder / TABLE
        known = _known(path, recipes, config, {limit: d.digest for limit, d in images.items()})
        tasks = [
            Task(cell.code, seed, recipe)
            for seed in config.seeds for recipe in recipes for cell in cells
        ]  # fmt: skip
        left = [task for task in tasks if task not in known]
        try:
            _work(config, recipes, images, left, path, done=len(tasks) - len(left), quiet=quiet)
        except KeyboardInterrupt as stop:
            count = sum(task in _known(path, recipes, config, None) for task in tasks)
            raise Interrupted(
                f"interrupted with {count:,} of {len(tasks):,} trainings in {path}; the same "
                f"command goes on, or: {command('sweep')} --resume {shlex.quote(str(folder))}"
            ) from stop
    return folder


def resume_sweep(folder: Path, given: Mapping[str, Any], *, quiet: bool = False) -> Path:
    """Go on with the sweep in a folder; `given` may name more cells, seeds and recipes, and places.

    Raises: UserError as `run_sweep`, and when `given` names another value for any other field.
    """
    if "out" in given:
        raise UserError("--resume already names the folder; remove --out")
    saved = from_saved(SweepConfig, read_description(folder, KIND)["config"], folder / CONFIG)
    return run_sweep(
        dataclasses.replace(saved, **{"again": False, **given, "out": str(folder)}), quiet=quiet
    )


def _load(
    config: SweepConfig, recipes: Mapping[str, Mapping[str, Any]]
) -> dict[int | None, ImageData]:
    """The images for each number of training images that a recipe asks for."""
    found: dict[int | None, ImageData] = {}
    for name, fields in recipes.items():
        limit = fields["limit"]
        if limit not in found:
            found[limit] = load_dataset(
                config.dataset, data_root=config.data_root, limit=limit, side=config.side,
                val=config.val, test_limit=config.test_limit,
            )  # fmt: skip
        data = found[limit]
        if fields["batch_size"] > len(data.train_y):
            raise UserError(
                f"recipe {name} has batches of {fields['batch_size']} and there are "
                f"{len(data.train_y)} training images; give it a lower --batch-size"
            )
        check(config.attacks, config.eps or (data.eps,), data)
    return found


def _open(folder: Path, config: SweepConfig, data: ImageData) -> None:
    """Write the config.json of a new sweep, or compare that of the one which goes on."""
    facts = {**data.facts(), "test_images": len(data.test_y)}
    description = {
        "format": FORMAT,
        "kind": KIND,
        "config": {**config.to_dict(), "again": False},
        "config_hash": _hash(config),
        "command": command_line(),
        **describe(torch.device("cpu")),
        "device_type": "cpu",
        "data": facts,
    }
    if not (folder / CONFIG).exists():
        if (folder / TABLE).exists():
            raise UserError(f"{folder} has {TABLE} and no {CONFIG}; give another --out")
        write_json(folder / CONFIG, description)
        return
    before = read_description(folder, KIND)
    saved = from_saved(SweepConfig, before["config"], folder / CONFIG)
    free = (*TASK_FIELDS, *PLACE_FIELDS)
    differ = [
        f"{name}: {old} -> {new}"
        for name, new in config.to_dict().items()
        if name not in free
        and without_place(new) != without_place(old := saved.to_dict()[name])
    ]  # fmt: skip
    if differ:
        raise UserError(
            f"{folder} holds a sweep with other settings ({'; '.join(differ)}), and lines of both "
            "would not compare; give another --out"
        )
    names = ("digest", "train_images")  # recipes may take other numbers of training images
    there = {key: v for key, v in before["data"].items() if key not in names}
    here = {key: v for key, v in facts.items() if key not in names}
    if not same_images(there, here):
        raise UserError(f"{folder} holds a sweep on other images than these; give another --out")
    write_json(folder / CONFIG, description)


def _hash(config: SweepConfig) -> str:
    free = (*TASK_FIELDS, *PLACE_FIELDS)
    fields = {name: v for name, v in config.to_dict().items() if name not in free}
    return fingerprint({name: without_place(value) for name, value in fields.items()})


def _known(
    path: Path,
    recipes: Mapping[str, Mapping[str, Any]],
    config: SweepConfig,
    digests: Mapping[int | None, str] | None,
) -> set[Task]:
    """The trainings that the table holds already; with --again without those that failed.

    Raises: UserError where a line was made by another recipe of this name, or on other images.
    """
    found = {}
    for number, line in enumerate(recover_jsonl(path), start=1):
        where = f"{path} line {number}"
        reason = misfit(line, {**SHAPE, "training": dict, "images_digest": str})
        if reason is not None:
            raise UserError(f"{where} is not of a sweep ({reason}); give another --out")
        task = Task(line["cell"], line["seed"], line["recipe"])
        status, training, digest = line["status"], line["training"], line["images_digest"]
        fields = recipes.get(task.recipe)
        if fields is not None and training != fields:
            raise UserError(
                f"{where} was trained by another recipe called '{task.recipe}'; give this one "
                f"another name: new={task.recipe}"
            )
        if fields is not None and digests is not None and digest != digests[fields["limit"]]:
            raise UserError(f"{where} was trained on other images; give another --out")
        found[task] = status
    return {task for task, status in found.items() if not (config.again and status == "failed")}


def _work(
    config: SweepConfig,
    recipes: Recipes,
    images: Mapping[int | None, ImageData],
    left: list[Task],
    path: Path,
    *,
    done: int,
    quiet: bool,
) -> None:
    if not left:
        return
    arrays = {limit: as_arrays(data) for limit, data in images.items()}
    size = sum(data.train_x.nbytes + data.test_x.nbytes for data in images.values())
    bar = Progress("sweep", done + len(left), "training", initial=done, quiet=quiet)
    ray = OnRay(address=config.address, cpus=config.cpus, store_bytes=size)
    with bar, ray:
        gpus = config.gpus_per_task
        if gpus is None:
            gpus = 1.0 if ray.resources()["GPU"] else 0.0
        share = Share(cpus=config.cpus_per_task, gpus=gpus, retries=config.retries)
        ray.check(share)
        plan = Plan(
            recipes, arrays, {limit: data.digest for limit, data in images.items()},
            config.attacks, config.eps or None, config.cpus_per_task, gpus > 0, config.side,
        )  # fmt: skip
        for task, line in ray.results(train_and_measure, plan, left, share):
            if isinstance(line, Lost):
                line = _lost(task, line.reason, recipes[task.recipe], plan)
            append_jsonl(path, line)
            bar.update()
            if not quiet:
                done += 1
                bar.write(f"{done:>6,}/{bar.total:,}  {_words(line)}", file=sys.stderr)


def _lost(task: Task, reason: str, fields: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The line of a training that no attempt has finished."""
    data = plan.images[fields["limit"]]
    cell = Genotype.parse(task.code)
    return {
        "format": LINE_FORMAT, "cell": cell.code, "arch": cell.arch, "seed": task.seed,
        "recipe": task.recipe, "status": "failed", "reason": reason, "dataset": data["name"],
        "num_classes": len(data["class_names"]), "results": {}, "training": dict(fields),
        "images_digest": plan.digests[fields["limit"]],
    }  # fmt: skip


def _words(line: Mapping[str, Any]) -> str:
    """One line about a training."""
    what = f"{line['cell']} seed {line['seed']} {line['recipe']}"
    if line["status"] != "done":
        return f"{what}: {line['status']}: {line['reason']}"
    found = ", ".join(f"{column_name(c)} {100 * v:.2f}" for c, v in line["results"].items())
    return f"{what}: {found} ({line['seconds']:.1f} s)"


def summary(folder: Path) -> str:
    """What the command prints at its end."""
    path = folder / TABLE
    states: dict[str, int] = {}
    for line in {(i["cell"], i["seed"], i["recipe"]): i for i in recover_jsonl(path)}.values():
        states[line["status"]] = states.get(line["status"], 0) + 1
    counted = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    again = "\nagain      the same command with --again repeats those that failed"
    return (
        f"\ntable      {path}: {counted}"
        f"{again if states.get('failed') else ''}"
        f"\nnext       {command('benchmark')} top --table {shlex.quote(str(path))}"
    )
