"""Several seeds of one search, run one after the other, and the cell that they lead to together."""

import dataclasses
import functools
import gc
import statistics
from pathlib import Path
from typing import Any

import torch

from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.load import load_table
from supernet.files import remove_leftovers, write_json
from supernet.report.record_shapes import SEARCHED
from supernet.report.records import read_description, read_genotype, read_metrics
from supernet.report.run_files import METRICS_FILE
from supernet.runs.folder import has_checkpoint, plain
from supernet.runs.genotype_json import cell_record
from supernet.runs.lock import locked
from supernet.runs.prepared import config_of
from supernet.runs.search_run import resume_search, run_search
from supernet.search.config import SearchConfig
from supernet.search.derive import argmax_cell, mean_gains, restriction, weights_of
from supernet.torchrun import current

IMAGES = ("dataset", "side", "stand_in")


def run_seeds(config: SearchConfig, seeds: tuple[int, ...], *, quiet: bool) -> Path:
    """Run several seeds. A finished one is not run again, an interrupted one goes on.

    Leaves seeds.json next to the runs and, where cells are read from gains, together.json: the one
    cell that the seeds' gains lead to together. Returns their folder.

    Raises: UserError when a seed's folder holds a run of another config, or when another process
            is in it or in their folder.
    """
    base = Path(config.out or f"runs/search-{plain(config.dataset)}")
    ranks = current()
    with ranks.first_holds(locked(base)):
        if ranks.first:
            remove_leftovers(base)
        _run_each(config, seeds, base, quiet=quiet)
    return base


def _run_each(config: SearchConfig, seeds: tuple[int, ...], base: Path, *, quiet: bool) -> None:
    ranks, folders = current(), []
    for seed in seeds:
        folder = base / f"seed-{seed}"
        seeded = dataclasses.replace(config, seed=seed, out=str(folder))
        given = {name: getattr(seeded, name) for name in seeded.what()}
        if config.data_root is not None:
            given["data_root"] = config.data_root
        there = ranks.from_first(functools.partial(_stands, folder))
        if there == "nothing":
            run_search(seeded, quiet=quiet)
        elif there == "begun":
            resume_search(folder, given, quiet=quiet)
        else:  # a finished run counts if it is of this config
            ranks.from_first(functools.partial(config_of, folder, given))
        gc.collect()  # a search's CUDA graphs, which no step of the next one should free
        folders.append(folder)
    if ranks.first:
        _write_together(config, folders, base)


def _stands(folder: Path) -> str:
    """nothing, begun or finished: what a seed's folder holds."""
    if not has_checkpoint(folder):
        return "nothing"
    return "finished" if (folder / "genotype.json").is_file() else "begun"


def _write_together(config: SearchConfig, folders: list[Path], base: Path) -> None:
    rows, found = [_row(folder) for folder in folders], _together(config, folders)
    write_json(base / "seeds.json", {"runs": rows, "spread": _spread(rows), "together": found})
    if found is not None:
        write_json(base / "together.json", found)


def _together(config: SearchConfig, folders: list[Path]) -> dict[str, Any] | None:
    """The record of the cell of all seeds; None where no seed's supernet is read by gains."""
    if config.derive_by == "alpha" or not config.epochs:
        return None
    records = [read_genotype(folder / "genotype.json") for folder in folders]
    gains = [torch.tensor(r["derivation"][config.derive_by], dtype=torch.float64) for r in records]
    data = read_description(folders[0] / "config.json")["data"]
    mean_EO = mean_gains(gains)
    fits = restriction(config.budgets, data["num_classes"], data["full_size"])
    cell = argmax_cell(weights_of(mean_EO), config.reads_none, fits)
    table = load_table(config.data_root)
    return {
        **cell_record(cell, table, data["num_classes"], data["full_size"]),
        "baselines": records[0]["baselines"],
        **{
            name: records[0].get(name)
            for name in ("objective", "robust", "dataset", "side", "val", "stand_in")
        },
        "seeds": [record["seed"] for record in records],
        "derived_by": config.derive_by,
        "gains": mean_EO.tolist(),
    }


def _row(folder: Path) -> dict[str, Any]:
    record = read_genotype(folder / "genotype.json")
    epochs = read_metrics(folder / METRICS_FILE, SEARCHED)
    last = epochs[-1] if epochs else {}
    dataset, column = judged_by(record["dataset"], record["robust"])
    return {
        "seed": record["seed"],
        "run": str(folder),
        "code": record["code"],
        "params": record["params"],
        "val_clean_acc": last.get("val_clean_acc"),
        "val_robust_acc": last.get("val_robust_acc"),
        "seconds": record["seconds"],
        "judged_by": [dataset, column],
        "benchmark": record["benchmark"]["results"][dataset][column],
        "rank": record["benchmark"]["ranks"][dataset][column],
    }


def _spread(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    spread = {}
    for name in ("params", "val_clean_acc", "val_robust_acc", "benchmark", "rank", "seconds"):
        values = [row[name] for row in rows if row[name] is not None]
        if values:
            spread[name] = {
                "mean": statistics.fmean(values),
                "median": statistics.median(values),
                "stdev": statistics.stdev(values) if len(values) > 1 else 0.0,
            }
    return spread
