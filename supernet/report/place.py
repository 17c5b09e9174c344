"""The section that judges: the found cell among the 6,466 of NAS-RobBench-201."""

from typing import Any

from supernet.benchmark.table import COLUMNS, DATASETS
from supernet.cells.genotype import Genotype
from supernet.report import figures
from supernet.report.cost import cells_at_equal_cost
from supernet.report.markdown import (
    column_name,
    dataset_name,
    percent,
    points,
    table,
)
from supernet.report.run_files import RunFiles, answers

BEST_OF = (1, 10, 50, 150)
VERDICT_BEST_OF = 50
HOW_TO_GET_IT = (
    "Not compared: the table of NAS-RobBench-201 is not at hand; put "
    "`NAS-RobBench-201_html.json` and `ops.json` from "
    "https://tt2408.github.io/nasrobbench201hp/files/ into `DATA/robbench201/` and run "
    "`python scripts/search.py --resume {run} --data-root DATA`, which writes the results anew."
)


def verdict(run: RunFiles) -> str:
    """One or two sentences: rank, regret, and whether it beats what needs no search."""
    entry = run.query(run.cell)
    if entry is None:
        return ""
    dataset, column = run.judge
    value, rank = entry["results"][dataset][column], entry["ranks"][dataset][column]
    text = (
        f"Trained stand-alone by the recipe of NAS-RobBench-201, this cell has "
        f"**{percent(value)}** accuracy on {dataset_name(dataset)} ({_measure(column)}): "
        f"**rank {rank:,} of 6,466**, {points(entry['regret'][dataset][column])} points below the "
        "best cell."
    )
    words = [
        f"{_compared(value, other)} {_plain(row['name'])} ({percent(other)})"
        for row in _no_search_rows(run)
        if row["name"] == "all 3x3" or row.get("n") == VERDICT_BEST_OF
        for other in (row["results"][dataset][column],)
    ]
    if words:
        text += f" That is {' and '.join(words)}, which need no search."
    return text


def section(run: RunFiles) -> list[str]:
    """The whole section, as Markdown blocks; without a table one sentence says how to get it."""
    entry = run.query(run.cell)
    if entry is None:
        return ["## Place in the benchmark", HOW_TO_GET_IT.format(run=run.folder)]
    dataset, column = run.judge
    blocks = ["## Place in the benchmark", _caveat(run), _beside(run, entry)]
    if run.table is not None:
        blocks.append(_equal_cost(run))
        cells = {
            f"found ({run.cell.code})": run.cell,
            "all 3×3": Genotype((3,) * 6),
            "all skip": Genotype((1,) * 6),
        }
        stem = run.folder / "figures" / "benchmark"
        robust_column = column if column != "clean" else "pgd_8"
        figures.scatter_in_benchmark(run.table, cells, dataset, stem, column=robust_column)
        blocks.append(
            f"![Clean and robust accuracy of all cells on {dataset_name(dataset)}]"
            "(figures/benchmark.svg)"
        )
    blocks += ["### All 18 values", _all_values(entry)]
    return blocks


def _caveat(run: RunFiles) -> str:
    own = run.config["dataset"]
    dataset, column = run.judge
    text = (
        "NAS-RobBench-201 trained each of its 6,466 distinct cells adversarially (PGD-7 at 8/255, "
        "50 epochs, all training images) and measured accuracy on the official test split: means "
        "of three seeds, AutoAttack one seed. These are values of that table, looked up for the "
        "found cell; this run trained no such network."
    )
    if own not in DATASETS:
        text += (
            f" The table knows nothing of {own}: it says how the cell does on "
            f"{dataset_name(dataset)}, so a good rank means that the search carried over."
        )
    return f"{text} Rows are judged by {dataset_name(dataset)}, {_measure(column)}."


def _beside(run: RunFiles, entry: dict[str, Any]) -> str:
    dataset, column = run.judge
    shown = ["clean", "pgd_8", "autoattack"]
    rows: list[dict[str, Any]] = [{"name": f"**found: {run.cell.code}**", **entry}]
    for words, record in answers(run.record).values():
        cell = Genotype.parse(record["code"])
        other = run.query(cell)
        if other and cell != run.cell:
            rows.append({"name": f"by {words}: {cell.code}", **other})
    rows += _no_search_rows(run)
    lines = [
        [
            _plain(row["name"]),
            *[percent(row["results"][dataset][name]) for name in shown],
            f"{row['ranks'][dataset][column]:,}",
            f"{row['percentiles'][dataset][column]:.1f}",
            points(row["regret"][dataset][column]),
            f"{row['params'] / 1e6:.2f} M",
        ]
        for row in rows
    ]
    header = [
        "cell",
        *[column_name(name) for name in shown],
        "rank",
        "percentile",
        "regret",
        "params",
    ]
    return table(header, lines) + (
        f"\n\n{dataset_name(dataset)}; rank, percentile and regret (points below the best cell) by "
        f"{column_name(column)}; 100 is the best percentile; parameters for 10 classes."
    )


def _no_search_rows(run: RunFiles) -> list[dict[str, Any]]:
    if run.table is not None:
        return run.table.baseline_rows(*run.judge, best_of=BEST_OF)
    return run.record.get("baselines") or []


def _compared(value: float, other: float) -> str:
    return "above" if value > other else "below" if value < other else "equal to"


def _plain(name: str) -> str:
    """The table's own names of its rows, shorter: the judge is named below the rows."""
    short = name.split(" by ")[0]
    if short.startswith("best of"):
        n = int(short.split()[2])
        return "one random cell (expected)" if n == 1 else f"best of {n} random (expected)"
    return short


def _equal_cost(run: RunFiles) -> str:
    assert run.table is not None
    cells = cells_at_equal_cost(run.description, run.record["alpha_follows"])
    if cells >= 1:
        value = run.table.expected_best_of(int(cells), *run.judge)
        cost = f"{cells:.2g} times"
        equal = (
            f"random search could train {int(cells):,} cells, the best expected at {percent(value)}"
        )
    else:
        cost = f"1/{round(1 / cells):,} of"
        equal = "random search could not train a single cell, so even one random cell costs more"
    return (
        f"At equal cost: in multiply-adds this search cost {cost} the adversarial training of one "
        f"average benchmark cell (50 epochs of PGD-7 on 50,000 images); {equal}."
    )


def _all_values(entry: dict[str, Any]) -> str:
    rows = [
        [
            dataset_name(dataset),
            column_name(column),
            percent(entry["results"][dataset][column]),
            f"{entry['ranks'][dataset][column]:,}",
            f"{entry['percentiles'][dataset][column]:.2f}",
            points(entry["regret"][dataset][column]),
        ]
        for dataset in DATASETS
        for column in COLUMNS
    ]
    header = ["data set", "measure", "accuracy", "rank of 6,466", "percentile", "regret (points)"]
    return table(header, rows, align="llrrrr")


def _measure(column: str) -> str:
    return "clean" if column == "clean" else f"under {column_name(column)}"
