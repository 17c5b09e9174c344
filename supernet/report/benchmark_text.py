"""The readable form of what `scripts/benchmark.py` finds: aligned text for a terminal.

Accuracies and regrets are printed in percent; JSON has fractions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from supernet.benchmark.baselines import Progress
from supernet.benchmark.rows import baseline_rows
from supernet.benchmark.table import COLUMNS, COSTS, Table
from supernet.progress import Progress as Bar
from supernet.report.words import (
    baseline_name,
    better_than,
    column_name,
    dataset_name,
    points,
)
from supernet.text import aligned, coefficient, short

_REGIONS = {"all": "all cells", "top_10": "best 10 %", "top_1": "best 1 %"}


def query(table: Table, answers: Sequence[Mapping[str, Any]], dataset: str, column: str) -> str:
    """Every cell with all its values, then the rows that need no search."""
    blocks = [_cell(table, answer) for answer in answers]
    rows = baseline_rows(table, dataset, column)
    if not rows:  # a table of some cells, without these
        return "\n\n".join(blocks)
    title = f"No search, {dataset_name(dataset)}, judged by {column_name(column)}:"
    return "\n\n".join([*blocks, title + "\n" + _baseline_rows(rows, dataset, column)])


def _cell(table: Table, answer: Mapping[str, Any]) -> str:
    evaluated = answer["unique_index"]
    twin = ""
    if evaluated != answer["index"]:
        code = table.order.genotype(evaluated).code
        twin = f"; values of its evaluated isomorph {evaluated} ({code})"
    lines = [
        answer["arch"],
        f"index {answer['index']}, code {answer['code']}{twin}",
        f"{answer['params']:,} parameters, {answer['flops'] / 1e6:.3f} MFLOPs (10 classes, 32x32)",
    ]
    rows = []
    for d in table.datasets:
        shown = {
            "accuracy %": [points(answer["results"][d][c]) for c in table.columns],
            "rank": [str(answer["ranks"][d][c]) for c in table.columns],
            "better than": [better_than(answer["ranks"][d][c], table.size) for c in table.columns],
            "regret, points": [points(answer["regret"][d][c]) for c in table.columns],
        }
        titles = [dataset_name(d), "", "", ""]
        rows += [[t, name, *v] for t, (name, v) in zip(titles, shown.items(), strict=True)]
    return "\n".join([*lines, aligned(["", "", *map(column_name, table.columns)], rows, left=2)])


def _baseline_rows(rows: Sequence[Mapping[str, Any]], dataset: str, column: str) -> str:
    lines = []
    for row in rows:
        values = row["results"][dataset]
        rank = row["ranks"][dataset][column]
        regret = points(row["regret"][dataset][column])
        lines.append([baseline_name(row), *map(points, values.values()), str(rank), regret])
    titles = map(column_name, rows[0]["results"][dataset])
    by = column_name(column)
    return aligned(["accuracy %", *titles, f"rank by {by}", "regret"], lines)


def top(answers: Sequence[Mapping[str, Any]], dataset: str, column: str) -> str:
    """One cell a line, best first."""
    return _cells(answers, dataset, column) + f"\n(accuracies in %, {dataset_name(dataset)})"


def _cells(answers: Sequence[Mapping[str, Any]], dataset: str, column: str | None) -> str:
    titles = map(column_name, answers[0]["results"][dataset] if answers else ())
    header = ["code", "index", *titles, "params", "FLOPs"]
    ranked = column is not None and column not in COSTS
    lines = []
    for answer in answers:
        values = answer["results"][dataset]
        line = [answer["code"], str(answer["index"]), *map(points, values.values())]
        line += [short(answer["params"]), short(answer["flops"])]
        lines.append(([str(answer["ranks"][dataset][column])] if ranked else []) + line)
    return aligned((["rank"] if ranked else []) + header, lines, left=0)


def front(result: Mapping[str, Any]) -> str:
    """The front's cells and its hypervolume."""
    names = ", ".join(column_name(name) for name in result["objectives"])
    reference = ", ".join(f"{k} {v:.4g}" for k, v in result["reference_point"].items())
    member = "cheapest" if result["cheapest"] else "evaluated"
    return (
        f"True front of {dataset_name(result['dataset'])} over {names}: "
        f"{len(result['cells'])} cells (costs of the {member} member of each class)\n"
        + _cells(result["cells"], result["dataset"], None)
        + f"\nhypervolume {result['hypervolume']:.6f} (reference point {reference}; costs in "
        "units of the all-3x3 cell's)"
    )


def stats(result: Mapping[str, Any]) -> str:
    """The main tables; --json has all of them."""
    shares, effects = result["operator_shares"], result["replacement_effects"]
    correlations, column = result["correlations"], result["robust_column"]
    title = column_name(column)
    parts = [f"Accuracy in % over {result['cells']:,} cells\n" + _boxes(result["boxes"])]
    if len(correlations["datasets"]) > 1:
        parts.append(
            "Spearman between data sets, by column (best: by the first of the pair)\n"
            + _between_datasets(correlations)
        )
    parts += [
        f"Spearman with {title} (best: by {title})\n" + _between_columns(correlations, column),
        f"Operator on each edge in %, cells ordered by {_name(shares)}\n" + _shares(shares),
    ]
    if effects is None:
        parts.append("What replacing an operator changes is a mean over all cells: not for a part.")
    else:
        parts.append(
            f"Mean change of {_name(effects)} in percentage points when an operator replaces "
            f"`none`, over {effects['settings']:,} settings of the other edges\n"
            + _effects(effects)
        )
    return "\n\n".join(parts)


def _name(numbers: Mapping[str, Any]) -> str:
    return f"{dataset_name(numbers['dataset'])} {column_name(numbers['metric'])}"


def _boxes(boxes: Mapping[str, Any]) -> str:
    keys = ("min", "q1", "median", "q3", "max", "mean")
    rows = [
        [dataset_name(d), column_name(c), *[points(box[key]) for key in keys]]
        for d, columns in boxes.items()
        for c, box in columns.items()
    ]
    return aligned(["data set", "column", *keys], rows, left=2)


def _between_datasets(correlations: Mapping[str, Any]) -> str:
    rows = []
    datasets, columns = correlations["datasets"], list(correlations["between_datasets"])
    for i, first in enumerate(datasets):
        for j, second in enumerate(datasets):
            for region, title in _REGIONS.items():
                if i == j or (region == "all" and i > j):
                    continue
                cells = [
                    coefficient(correlations["between_datasets"][c]["spearman"][region][i][j])
                    for c in columns
                ]
                rows.append([dataset_name(first), dataset_name(second), title, *cells])
    return aligned(["first", "second", "among", *map(column_name, columns)], rows, left=3)


def _between_columns(correlations: Mapping[str, Any], column: str) -> str:
    names = correlations["columns"]
    rows = []
    for d in correlations["datasets"]:
        for region, title in _REGIONS.items():
            line = correlations["between_columns"][d]["spearman"][region][names.index(column)]
            rows.append([dataset_name(d), title, *map(coefficient, line)])
    return aligned(["data set", "among", *[column_name(name) for name in names]], rows, left=2)


def _shares(shares: Mapping[str, Any]) -> str:
    rows = []
    for region in ("best_1", "best_10", "all", "worst_10", "worst_1"):
        title = region.replace("_", " ") + (" %" if region != "all" else "")
        for (node, source), line in zip(shares["edges"], shares["regions"][region], strict=True):
            rows.append([title, f"{source}->{node}", *[f"{100 * v:.0f}" for v in line]])
        rows.append([title, "mean", *[f"{100 * v:.0f}" for v in shares["overall"][region]]])
    return aligned(["cells", "edge", *shares["operators"]], rows, left=2)


def _effects(effects: Mapping[str, Any]) -> str:
    rows = [
        [f"{source}->{node}", *[f"{100 * v:+.2f}" for v in matrix[0]]]
        for (node, source), matrix in zip(effects["edges"], effects["mean"], strict=True)
    ]
    return aligned(["edge", *effects["operators"]], rows)


def compare(result: Mapping[str, Any]) -> str:
    """Correlations of the two ways of training, and what the best of one are in the other."""
    names = result["standard_columns"]
    parts = []
    for region, title in _REGIONS.items():
        rows = [
            [column_name(c), *map(coefficient, line)]
            for c, line in zip(COLUMNS, result["spearman"][region], strict=True)
        ]
        among = "all cells" if region == "all" else f"the {title} by the row's column"
        parts.append(
            f"Spearman, {dataset_name(result['dataset'])}: adversarially trained (rows) against "
            f"standard-trained (columns), among {among}\n" + aligned(["", *names], rows)
        )
    rows = []
    for name in names:
        best = result["best_of_standard"][name]
        ranks = best["adversarial_ranks"]
        rows.append([name, best["code"], points(best["accuracy"]),
                     points(best["adversarial"]["clean"]), str(ranks["clean"]),
                     points(best["adversarial"]["pgd_8"]), str(ranks["pgd_8"])])  # fmt: skip
    header = ["best by", "code", "there %", "clean here %", "rank", "PGD-20 8/255 here %", "rank"]
    parts.append("The best standard-trained cells, adversarially trained\n"
                 + aligned(header, rows, left=2))  # fmt: skip
    return "\n\n".join(parts)


def baselines(result: Mapping[str, Any]) -> str:
    """Mean and standard deviation over seeds at a few budgets, and the rows without search."""
    parts = [_single(result)] if result["methods"] else []
    if "multi_objective" in result:
        parts.append(_multi(result["multi_objective"]))
    rows = _baseline_rows(result["rows"], result["dataset"], result["metric"])
    return "\n\n".join([*parts, f"No search, judged by {_name(result)}:\n" + rows])


def _single(result: Mapping[str, Any]) -> str:
    at = [n for n in (10, 50, 100, 150, 200, 300) if n < result["queries"]] + [result["queries"]]
    lines = [
        [method, *[_mean_sd(numbers, n - 1) for n in at]]
        for method, numbers in result["methods"].items()
    ]
    expected = [points(result["expected_best_of_random"][n - 1]) for n in at]
    lines.append(["random, with replacement (closed form)", *expected])
    return (
        f"Best {_name(result)} accuracy in % after n queries, mean +- standard deviation over "
        f"{result['seeds']} seeds (best cell: {points(result['best'])}; what counts as a query: "
        f"{result['count']})\n" + aligned(["method", *[f"n={n}" for n in at]], lines)
    )


def _multi(multi: Mapping[str, Any]) -> str:
    budget = multi["queries"][-1]
    wanted = [n for n in (50, 100, 150, 200, 300) if n in multi["queries"] and n < budget]
    at = [*wanted, budget]
    lines = [
        [method, *[_mean_sd(numbers, multi["queries"].index(n)) for n in at]]
        for method, numbers in multi["methods"].items()
    ]
    return (
        f"Hypervolume over {', '.join(multi['objectives'])} in % of the true front's, "
        f"{dataset_name(multi['dataset'])}, {multi['seeds']} seeds\n"
        + aligned(["method", *[f"n={n}" for n in at]], lines)
    )


def _mean_sd(numbers: Mapping[str, Sequence[float]], place: int) -> str:
    return f"{points(numbers['mean'][place])} +- {points(numbers['sd'][place])}"


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Shows how far each method is, one after another."""
    with ExitStack() as stack:
        bars: list[Bar] = []

        def show(method: str, done: int, total: int) -> None:
            if done == 0:
                stack.close()
                bar = Bar(method, total, "run", leave=False)
                bars[:] = [stack.enter_context(bar)]
            bars[0].update()

        yield show
