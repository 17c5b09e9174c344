"""What the terminal shows when searches end: one run, or several seeds side by side."""

import dataclasses
import shlex
import statistics
from pathlib import Path
from typing import Any

import torch

from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.table import Table
from supernet.files import data_root, read_json, read_jsonl, write_json
from supernet.report.markdown import GUIDE_NAMES
from supernet.report.run_files import METRICS_FILE, answers
from supernet.runs.genotype_json import cell_record
from supernet.runs.search_run import config_of, resume_search, run_search
from supernet.search.config import SearchConfig
from supernet.search.derive import argmax_cell, mean_gains, restriction, weights_of
from supernet.text import short

COLUMN_WORDS = {"clean": "clean", "pgd_8": "PGD 8/255"}


def describe_run(folder: Path) -> str:
    """The cell, its size, its place in the benchmark, the report and the next command."""
    record = read_json(folder / "genotype.json")
    quoted = shlex.quote(str(folder))
    following = f"python scripts/train.py --genotype {quoted}/genotype.json{_next_flags(folder)}"
    lines = [
        "",
        f"cell       {record['arch']}",
        f"           code {record['code']}" + _index(record),
        f"size       {record['params']:,} parameters, {record['flops'] / 1e6:.1f} MFLOPs"
        " (stand-alone, C=16, N=5)",
        *_derivation(record),
        *_benchmark(record),
        *_front(folder),
        f"report     {folder / 'report.md'}",
        f"events     tensorboard --logdir {quoted}",
        f"next       {following}",
    ]
    return "\n".join(lines)


def _next_flags(folder: Path) -> str:
    """What the next command needs to find the same images, and to end today on a CPU."""
    description = read_json(folder / "config.json")
    root = description["config"]["data_root"]
    flags = "" if root is None else f" --data-root {shlex.quote(root)}"
    return flags if description["device_type"] == "cuda" else f"{flags} --preset quick"


def _index(record: dict[str, Any]) -> str:
    return "" if record["index"] is None else f", index {record['index']}"


def _derivation(record: dict[str, Any]) -> list[str]:
    found, by = answers(record), record["derivation"]["chosen_by"]
    others = [f"by {words} {cell['code']}" for name, (words, cell) in found.items() if name != by]
    chosen = f"chosen     the strongest operator of each edge by {found[by][0]}"
    return ["; ".join([chosen, *others])]


def _benchmark(record: dict[str, Any]) -> list[str]:
    entry = record["benchmark"]
    if entry is None:
        return [
            "benchmark  not compared: the table of NAS-RobBench-201 is not at hand; "
            "name its folder with --data-root"
        ]
    dataset, column = _judge(record)
    value, rank = entry["results"][dataset][column], entry["ranks"][dataset][column]
    baselines = "; ".join(
        f"{row['name']} {row['results'][dataset][column]:.2%}" for row in record["baselines"]
    )
    return [
        f"benchmark  {dataset} {COLUMN_WORDS[column]}: {value:.2%}, rank {rank:,} of 6,466"
        f" (best {rank / 6466:.1%})",
        f"           beside it: {baselines}",
    ]


def _front(folder: Path) -> list[str]:
    path = folder / "front.json"
    if not path.is_file():
        return []
    record = read_json(path)
    sizes = [cell["params"] for cell in record["cells"]]
    text = (
        f"front      {len(sizes)} cells of {short(sizes[0])} to {short(sizes[-1])} params: {path}"
    )
    if record["found_vs_true"]:
        found = record["found_vs_true"]
        text += f" ({found['hypervolume_ratio']:.1%} of the true front's hypervolume)"
    return [text]


def _judge(record: dict[str, Any]) -> tuple[str, str]:
    return judged_by(record["dataset"], record["robust"])


def run_seeds(config: SearchConfig, seeds: tuple[int, ...], *, quiet: bool) -> str:
    """Run several seeds. A finished one is not run again, an interrupted one goes on.

    Leaves seeds.json beside the runs and, where cells are read from gains, together.json: the one
    cell that the seeds' gains lead to together. Returns a table: a line per seed, then mean and
    standard deviation, then that cell. Raises: UserError when a seed's folder holds a run of
    another config.
    """
    base = Path(config.out or f"runs/search-{config.dataset.replace(':', '-').replace('/', '-')}")
    rows = []
    for seed in seeds:
        folder = base / f"seed-{seed}"
        seeded = dataclasses.replace(config, seed=seed, out=str(folder))
        if not (folder / "config.json").is_file():
            run_search(seeded, quiet=quiet)
        elif not (folder / "genotype.json").is_file():
            resume_search(folder, seeded.what(), quiet=quiet)
        else:
            config_of(folder, seeded.what())  # a finished run counts if it is of this config
        rows.append(_row(folder))
    found = _together(config, [Path(row["run"]) for row in rows])
    write_json(base / "seeds.json", {"runs": rows, "spread": _spread(rows), "together": found})
    if found is not None:
        write_json(base / "together.json", found)
    return "\n".join([*_table(rows, base), *_describe_together(found, base)])


def _together(config: SearchConfig, folders: list[Path]) -> dict[str, Any] | None:
    """The record of the cell of all seeds; None where a seed's own cell is not read from gains."""
    if config.derive_by == "alpha":
        return None
    records = [read_json(folder / "genotype.json") for folder in folders]
    gains = [torch.tensor(r["derivation"][config.derive_by], dtype=torch.float64) for r in records]
    data = read_json(folders[0] / "config.json")["data"]
    mean_EO = mean_gains(gains)
    fits = restriction(config.budgets, data["num_classes"], data["full_size"])
    cell = argmax_cell(weights_of(mean_EO), config.derive_none, fits)
    table = Table.find(data_root(config.data_root))
    return {
        **cell_record(cell, table, data["num_classes"], data["full_size"]),
        "baselines": records[0]["baselines"],
        **{name: records[0][name] for name in ("objective", "robust", "dataset", "stand_in")},
        "seeds": [record["seed"] for record in records],
        "derived_by": config.derive_by,
        "gains": mean_EO.tolist(),
    }


def _describe_together(record: dict[str, Any] | None, base: Path) -> list[str]:
    if record is None:
        return []
    words = GUIDE_NAMES[record["derived_by"]]
    return [
        f"together   code {record['code']}{_index(record)}: the strongest operator of each edge by "
        f"the mean of the seeds' {words}",
        *_benchmark(record),
        f"next       python scripts/train.py --genotype {shlex.quote(str(base))}/together.json"
        + _next_flags(base / f"seed-{record['seeds'][0]}"),
    ]


def _row(folder: Path) -> dict[str, Any]:
    record = read_json(folder / "genotype.json")
    last = read_jsonl(folder / METRICS_FILE)[-1]
    row = {
        "seed": record["seed"],
        "run": str(folder),
        "code": record["code"],
        "params": record["params"],
        "val_clean_acc": last["val_clean_acc"],
        "val_robust_acc": last.get("val_robust_acc"),
        "seconds": record["seconds"],
        "benchmark": None,
        "rank": None,
    }
    if record["benchmark"]:
        dataset, column = _judge(record)
        row["benchmark"] = record["benchmark"]["results"][dataset][column]
        row["rank"] = record["benchmark"]["ranks"][dataset][column]
        row["judged_by"] = f"{dataset} {column}"
    return row


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


def _table(rows: list[dict[str, Any]], base: Path) -> list[str]:
    judge = next((row["judged_by"] for row in rows if row["benchmark"] is not None), None)
    lines = ["", f"{'seed':>5}  {'cell':6}  {'params':>9}  {'clean':>6}  {'robust':>6}  {'s':>6}"]
    if judge:
        lines[-1] += f"  {judge:>14}  {'rank':>5}"
    for row in rows:
        robust = "" if row["val_robust_acc"] is None else f"{row['val_robust_acc']:6.1%}"
        line = (
            f"{row['seed']:>5}  {row['code']:6}  {row['params']:>9,}  {row['val_clean_acc']:6.1%}  "
            f"{robust:>6}  {row['seconds']:6.0f}"
        )
        if judge:
            value = "-" if row["benchmark"] is None else f"{row['benchmark']:.2%}"
            rank = "-" if row["rank"] is None else f"{row['rank']:,}"
            line += f"  {value:>14}  {rank:>5}"
        lines.append(line)
    for name, values in _spread(rows).items():
        lines.append(f"{name}: mean {values['mean']:.4g}, standard deviation {values['stdev']:.3g}")
    return [*lines, f"written to {base / 'seeds.json'}"]
