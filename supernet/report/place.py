"""The section that judges: the found cell among the 6,466 of NAS-RobBench-201."""

from typing import Any

from supernet.benchmark.order_statistics import expected_best_of
from supernet.benchmark.rows import baseline_rows
from supernet.benchmark.table import COLUMNS, DATASETS
from supernet.cells.genotype import Genotype
from supernet.report import figures
from supernet.report.cost import cells_at_equal_cost
from supernet.report.markdown import plain, table
from supernet.report.run_files import RunFiles, answers, holds_judge
from supernet.report.words import (
    baseline_name,
    better_than,
    column_name,
    dataset_name,
    percent,
    points,
    standing,
)

BEST_OF = (1, 10, 50, 150)
VERDICT_ROWS = ("all_3x3", "best_of_50")


def verdict(run: RunFiles) -> str:
    """One or two sentences: rank, regret, and whether it beats what needs no search."""
    entry = run.query(run.cell)
    dataset, column = run.judge
    value, rank = entry["results"][dataset][column], entry["ranks"][dataset][column]
    text = (
        f"Trained stand-alone by the recipe of NAS-RobBench-201, this cell has "
        f"**{percent(value)}** accuracy on {dataset_name(dataset)} ({_measure(column)}): "
        f"**{standing(rank, run.table.size)}**, {points(entry['regret'][dataset][column])} points "
        "below the best cell."
    )
    words = [
        f"{_compared(value, other)} {_with_value(row, other)}"
        for row in _no_search_rows(run)
        if row["key"] in VERDICT_ROWS
        for other in (row["results"][dataset][column],)
    ]
    text += f" That is {' and '.join(words)}, which need no search."
    if not holds_judge(run.record, dataset):
        return text
    name = dataset_name(dataset)
    return f"{text} **This is no test:** the prior that helped to choose it holds {name}."


def _with_value(row: dict[str, Any], value: float) -> str:
    """`all 3x3 (47.37 %)`, `the best of 50 random cells (46.75 % expected)`."""
    name, _, expected = baseline_name(row).partition(" (expected")
    return f"the {name} ({percent(value)} expected)" if expected else f"{name} ({percent(value)})"


def section(run: RunFiles) -> list[str]:
    """The whole section, as Markdown blocks."""
    entry = run.query(run.cell)
    dataset, column = run.judge
    cells = {
        f"found ({run.cell.code})": run.cell,
        "all 3×3": Genotype((3,) * 6),
        "all skip": Genotype((1,) * 6),
    }
    stem = run.folder / "figures" / "benchmark"
    robust_column = column if column != "clean" else "pgd_8"
    figures.scatter_in_benchmark(run.table, cells, dataset, stem, column=robust_column)
    return [
        "## Place in the benchmark",
        _caveat(run),
        _beside(run, entry),
        _equal_cost(run),
        f"![Clean and robust accuracy of all cells on {dataset_name(dataset)}]"
        "(figures/benchmark.svg)",
        "### All 18 values",
        _all_values(run, entry),
    ]


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
            f" The table knows nothing of {plain(own)}: it says how the cell does on "
            f"{dataset_name(dataset)}, so a good rank means that the search carried over."
        )
    return f"{text} Rows are judged by {dataset_name(dataset)}, {_measure(column)}."


def _beside(run: RunFiles, entry: dict[str, Any]) -> str:
    dataset, column = run.judge
    shown = ["clean", "pgd_8", "autoattack"]
    rows: list[tuple[str, dict[str, Any]]] = [(f"**found: {run.cell.code}**", entry)]
    for words, record in answers(run.record).values():
        cell = Genotype.parse(record["code"])
        if cell != run.cell:
            rows.append((f"by {words}: {cell.code}", run.query(cell)))
    rows += [(baseline_name(row), row) for row in _no_search_rows(run)]
    lines = [
        [
            name,
            *[percent(row["results"][dataset][shown_column]) for shown_column in shown],
            f"{row['ranks'][dataset][column]:,}",
            better_than(row["ranks"][dataset][column], run.table.size),
            points(row["regret"][dataset][column]),
            f"{row['params'] / 1e6:.2f} M",
        ]
        for name, row in rows
    ]
    header = [
        "cell",
        *[column_name(name) for name in shown],
        "rank",
        "better than",
        "regret",
        "params",
    ]
    return table(header, lines) + (
        f"\n\n{dataset_name(dataset)}; rank, share of cells behind it, and regret (points below "
        f"the best cell) by {column_name(column)}; parameters for 10 classes."
    )


def _no_search_rows(run: RunFiles) -> list[dict[str, Any]]:
    return baseline_rows(run.table, *run.judge, best_of=BEST_OF)


def _compared(value: float, other: float) -> str:
    return "above" if value > other else "below" if value < other else "equal to"


def _equal_cost(run: RunFiles) -> str:
    cells = cells_at_equal_cost(run.description, run.record["alpha_follows"], run.refinement())
    if cells == 0:
        return "This search trained nothing: its answer costs a look-up of scores."
    if cells >= 1:
        value = expected_best_of(run.table, int(cells), *run.judge)
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


def _all_values(run: RunFiles, entry: dict[str, Any]) -> str:
    rows = [
        [
            dataset_name(dataset),
            column_name(column),
            percent(entry["results"][dataset][column]),
            f"{entry['ranks'][dataset][column]:,}",
            better_than(entry["ranks"][dataset][column], run.table.size),
            points(entry["regret"][dataset][column]),
        ]
        for dataset in DATASETS
        for column in COLUMNS
    ]
    header = ["data set", "measure", "accuracy", "rank of 6,466", "better than", "regret (points)"]
    return table(header, rows, align="llrrrr")


def _measure(column: str) -> str:
    return "clean" if column == "clean" else f"under {column_name(column)}"
