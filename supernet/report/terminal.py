"""What the terminal shows when searches end: one run, or several seeds side by side."""

import shlex
from pathlib import Path
from typing import Any

from supernet.benchmark.judged_by import judged_by
from supernet.files import read_json
from supernet.invocation import command
from supernet.report.finalists import in_one_line
from supernet.report.records import (
    read_description,
    read_finalists,
    read_front,
    read_genotype,
)
from supernet.report.run_files import answers, holds_judge
from supernet.report.words import (
    GUIDE_NAMES,
    PROPOSAL_NAMES,
    WHOLE,
    baseline_name,
    column_name,
    dataset_name,
    duration,
    percent,
    standing,
)
from supernet.text import aligned, short

SPREAD_NAMES = {
    "params": "parameters",
    "val_clean_acc": "clean accuracy of the mixture",
    "val_robust_acc": "robust accuracy of the mixture",
    "benchmark": "accuracy in the benchmark",
    "rank": "rank",
    "seconds": "seconds",
}


def describe_run(folder: Path) -> str:
    """The cell, its size, its place in the benchmark, the report and the next command."""
    record = read_genotype(folder / "genotype.json")
    quoted = shlex.quote(str(folder))
    lines = [
        "",
        f"cell       {record['arch']}",
        f"           code {record['code']}, index {record['index']}",
        f"size       {record['params']:,} parameters, {record['flops'] / 1e6:.1f} MFLOPs"
        " (stand-alone, C=16, N=5)",
        _derivation(record),
        *_benchmark(record),
        *_proposals(record),
        _front(folder),
        *_finalists(folder),
        f"report     {folder / 'report.html'} for a browser, report.md as text",
        f"events     tensorboard --logdir {quoted}",
        f"next       {command('train')} --genotype {quoted}/genotype.json{_flags(folder)}",
    ]
    return "\n".join(lines)


def describe_seeds(folder: Path) -> str:
    """A line per seed, their spread, and the cell of all seeds together, of a seeds.json."""
    record = read_json(folder / "seeds.json")  # just written
    return "\n".join(
        [
            "",
            _seeds(record["runs"]),
            *_spread(record["spread"]),
            f"written to {folder / 'seeds.json'}",
            *_together(record["together"], folder),
        ]
    )


def _flags(folder: Path) -> str:
    """What the next command needs to find the same images, and to end today on a CPU."""
    description = read_description(folder / "config.json")
    root = description["config"].get("data_root")
    flags = "" if root is None else f" --data-root {shlex.quote(root)}"
    return flags if description["device_type"] == "cuda" else f"{flags} --preset quick"


def _derivation(record: dict[str, Any]) -> str:
    found, by = answers(record), record["derivation"]["chosen_by"]
    others = [f"by {words} {cell['code']}" for name, (words, cell) in found.items() if name != by]
    how = "" if by in WHOLE else "the strongest operator of each edge "
    chosen = f"chosen     {how}by {found[by][0]}"
    return "; ".join([chosen, *others])


def _benchmark(record: dict[str, Any]) -> list[str]:
    entry = record["benchmark"]
    dataset, column = judged_by(record["dataset"], record["robust"])
    value, rank = entry["results"][dataset][column], entry["ranks"][dataset][column]
    baselines = "; ".join(
        f"{baseline_name(row)} {percent(row['results'][dataset][column])}"
        for row in record.get("baselines") or ()
    )
    return [
        f"benchmark  {dataset_name(dataset)} {column_name(column)}: {percent(value)}, "
        f"{standing(rank)}{_circular(dataset) if holds_judge(record, dataset) else ''}",
        f"           without a search: {baselines}",
    ]


def _proposals(record: dict[str, Any]) -> list[str]:
    """What each part alone proposes, a line each."""
    dataset, column = judged_by(record["dataset"], record["robust"])
    proposals = record["proposals"]
    lines = []
    for by, cell in proposals["cells"].items():
        rank = cell["benchmark"]["ranks"][dataset][column]
        note = _prior_note(proposals, dataset) if by in ("prior", "both") else ""
        lines.append(f"{PROPOSAL_NAMES[by]} {cell['code']}, rank {rank:,}{note}")
    return [f"{'proposals' if number == 0 else '':10} {line}" for number, line in enumerate(lines)]


def _prior_note(proposals: dict[str, Any], judge: str) -> str:
    if not proposals["prior_used"]:
        return " (not used)"
    return _circular(judge) if judge in proposals["prior_datasets"] else ""


def _circular(judge: str) -> str:
    return f" (no test: the prior holds {dataset_name(judge)})"


def _front(folder: Path) -> str:
    path = folder / "front.json"
    record = read_front(path)
    sizes = [cell["params"] for cell in record["cells"]]
    found, first = (
        percent(record[name]["hypervolume_ratio"], 1)
        for name in ("found_vs_true", "first_choices_vs_true")
    )
    random = next(
        row for row in record["compared"]
        if row["name"] == "random" and row["per_size"] == record["per_size"]
    )  # fmt: skip
    note = _circular(record["judged_by"]) if record["judge_is_in_prior"] else ""
    return (
        f"front      {len(sizes)} cells of {len(set(sizes))} sizes, {short(sizes[0])} to "
        f"{short(sizes[-1])} parameters: {path}\n"
        f"           {found} of the true front's hypervolume, the first choices {first}, as many "
        f"random cells {percent(random['hypervolume_ratio'], 1)}{note}"
    )


def _finalists(folder: Path) -> list[str]:
    path = folder / "finalists.json"
    return [f"finalists  {in_one_line(read_finalists(path))}: {path}"] if path.is_file() else []


def _seeds(runs: list[dict[str, Any]]) -> str:
    rows = [
        [
            str(run["seed"]),
            run["code"],
            f"{run['params']:,}",
            percent(run["val_clean_acc"], 1),
            percent(run["val_robust_acc"], 1),
            duration(run["seconds"]),
            percent(run["benchmark"]),
            f"{run['rank']:,}",
        ]
        for run in runs
    ]
    dataset, column = runs[0]["judged_by"]
    judge = f"{dataset_name(dataset)} {column_name(column)}"
    header = ["seed", "cell", "params", "clean", "robust", "time", judge, "rank"]
    return aligned(header, rows, left=2)


def _spread(spread: dict[str, dict[str, float]]) -> list[str]:
    return [
        f"{SPREAD_NAMES[name]}: mean {values['mean']:.4g}, median {values['median']:.4g}, "
        f"standard deviation {values['stdev']:.3g}"
        for name, values in spread.items()
    ]


def _together(record: dict[str, Any] | None, folder: Path) -> list[str]:
    if record is None:
        return []
    first = folder / f"seed-{record['seeds'][0]}"
    return [
        f"together   code {record['code']}, index {record['index']}: the strongest operator of "
        f"each edge by the mean of the seeds' {GUIDE_NAMES[record['derived_by']]}",
        *_benchmark(record),
        f"next       {command('train')} --genotype {shlex.quote(str(folder))}/together.json"
        + _flags(first),
    ]
