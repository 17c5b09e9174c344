"""NAS-RobBench-201 as a tool: query, top, stats, compare, front, baselines."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supernet.benchmark.load import load_table
from supernet.benchmark.own_table import fill_in, read_own_table
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.selection import best_cells
from supernet.benchmark.table import COLUMNS, COSTS, DATASETS, Table
from supernet.cells.argument import index_remark, read_cells
from supernet.cells.order import resolve
from supernet.cli import argument_parser
from supernet.errors import UserError
from supernet.files import write_json
from supernet.flags import whole_number
from supernet.invocation import command_line
from supernet.report import benchmark_text as report
from supernet.text import amount, file_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DESCRIPTION = """
NAS-RobBench-201 (Wu et al. 2024): 6,466 adversarially trained cells, each with clean accuracy and
accuracy under FGSM and PGD-20 at 3/255 and 8/255 and AutoAttack at 8/255, on three data sets.
Accuracies are of the official test splits, means of 3 seeds (AutoAttack: 1). Rank 1 is the best of
6,466; equal values share the best rank. Parameters and FLOPs (multiply-adds) are those of the
network for 10 classes at 32x32. docs/benchmark.md explains conventions and figures.
"""

MOST_MARKED = 6
"""Cells that `query --out` marks in its figure: more would be a legend without a figure."""


def main() -> None:
    """Parse, load the table, run the command, print, and write what --out asks for."""
    arguments = _parser().parse_args()
    costs = arguments.command is top  # it alone can order by one
    if arguments.table is None:
        fill_in(arguments, DATASETS, COLUMNS, "pgd_8", costs=costs)
        table = load_table(arguments.data_root, verify=not arguments.no_verify)
    else:
        table, remark = read_own_table(arguments.table, arguments.dataset, arguments.recipe)
        print(f"table: {remark}", file=sys.stderr)
        fill_in(arguments, table.datasets, table.columns, table.robust_column, costs=costs)
    arguments.command(table, arguments)


def query(table: Table, arguments: argparse.Namespace) -> None:
    """All values, ranks, percentiles and regret of the cells named."""
    texts = list(arguments.cell)
    if arguments.from_file is not None:
        texts += read_cells(arguments.from_file)
    if not texts:
        raise UserError("name at least one cell (string, six-digit code or index), or --from-file")
    cells = [resolve(text, table.order) for text in texts]
    for remark in filter(None, map(index_remark, texts)):
        print(f"note: {remark}", file=sys.stderr)
    result = [query_cell(table, cell) for cell in cells]

    def figures() -> dict[str, "Figure"]:
        from supernet.report.figures import scatter_in_benchmark

        if len(cells) > MOST_MARKED:
            return {}
        shown = {f"{a['index']} ({a['code']})": c for a, c in zip(result, cells, strict=True)}
        # Clean accuracy is the horizontal axis already.
        column = arguments.metric if arguments.metric != "clean" else table.robust_column
        picture = scatter_in_benchmark(table, shown, arguments.dataset, column=column)
        return {"query": picture}

    deliver(
        table, arguments, "query", result,
        lambda: report.query(table, result, arguments.dataset, arguments.metric), figures,
    )  # fmt: skip


def top(table: Table, arguments: argparse.Namespace) -> None:
    """The best cells by a column, among those within the limits."""
    limits = {cost: getattr(arguments, f"max_{cost}") for cost in COSTS}
    cells = best_cells(
        table, arguments.dataset, arguments.metric, arguments.k,
        limits={cost: None if text is None else amount(text) for cost, text in limits.items()},
        cheapest=arguments.cheapest,
    )  # fmt: skip
    result = [query_cell(table, cell) for cell in cells]
    name = f"top_{arguments.dataset}_{arguments.metric}"
    deliver(
        table, arguments, name, result,
        lambda: report.top(result, arguments.dataset, arguments.metric),
    )  # fmt: skip


def stats(table: Table, arguments: argparse.Namespace) -> None:
    """Spread, rank correlations, operators of the best and worst cells, replacement effects."""
    from supernet.benchmark import statistics

    result: dict[str, Any] = {
        "cells": table.size,
        "boxes": statistics.box_statistics(table),
        "correlations": statistics.rank_correlations(table),
        "operator_shares": statistics.operator_shares(table, arguments.dataset, arguments.metric),
        "replacement_effects": statistics.replacement_effects(
            table, arguments.dataset, arguments.metric
        ) if table.is_whole else None,
        "robust_column": table.robust_column,
    }  # fmt: skip

    def figures() -> dict[str, "Figure"]:
        from supernet.report import figures as draw

        correlations = result["correlations"]
        place = f"{arguments.dataset}_{arguments.metric}"
        pictures = {
            "boxes": draw.boxes(result["boxes"], table.size),
            f"operator_shares_{place}": draw.operator_shares(result["operator_shares"]),
        }
        if table.datasets == DATASETS:
            picture = draw.dataset_correlations(correlations, table.size)
            pictures["correlation_datasets"] = picture
        if table.is_whole:
            picture = draw.replacement_effects(result["replacement_effects"])
            pictures[f"replacement_effects_{place}"] = picture
        for dataset in table.datasets:
            picture = draw.column_correlations(correlations, dataset, table.size)
            pictures[f"correlation_columns_{dataset}"] = picture
        return pictures

    deliver(table, arguments, "stats", result, lambda: report.stats(result), figures)


def compare(table: Table, arguments: argparse.Namespace) -> None:
    """Adversarially trained cells against standard-trained ones (Jung et al. 2023), attacked."""
    from supernet.benchmark import standard

    table.require_whole("the comparison with standard-trained networks needs")
    other = standard.StandardTable.load(arguments.data_root, verify=not arguments.no_verify)
    name = f"compare_{arguments.dataset}"
    result = standard.compare(table, other, arguments.dataset)

    def figures() -> dict[str, "Figure"]:
        from supernet.report import figures as draw

        return {name: draw.comparison(table, other, result)}

    deliver(table, arguments, name, result, lambda: report.compare(result), figures)


def front(table: Table, arguments: argparse.Namespace) -> None:
    """The true Pareto front over two or three objectives, with its hypervolume."""
    from supernet.benchmark.true_front import true_front

    cheapest = ["cheapest"] if arguments.cheapest else []
    name = "_".join(["front", arguments.dataset, *arguments.objectives, *cheapest])
    result = true_front(table, arguments.dataset, arguments.objectives, cheapest=arguments.cheapest)

    def figures() -> dict[str, "Figure"]:
        from supernet.report import figures as draw

        return {name: draw.front(table, result)}

    deliver(table, arguments, name, result, lambda: report.front(result), figures)


def baselines(table: Table, arguments: argparse.Namespace) -> None:
    """What random search, local search, evolution and NSGA-II reach with a number of queries."""
    from supernet.benchmark import baselines as searches
    from supernet.benchmark.searches import SEARCHES, Settings

    settings = Settings(arguments.starts, arguments.population, arguments.tournament)
    name = f"baselines_{arguments.dataset}_{arguments.metric}"
    for method in (methods := arguments.methods):
        if method not in searches.METHODS:
            raise UserError(f"unknown method '{method}'; choose from {', '.join(searches.METHODS)}")
    shared = {"queries": arguments.queries, "seeds": arguments.seeds, "settings": settings}
    searches.check_budget(**shared)
    with report.progress_bar() as progress:
        result: dict[str, Any] = searches.single_objective(
            table,
            arguments.dataset,
            arguments.metric,
            methods=[m for m in methods if m in SEARCHES],
            count=arguments.count,
            progress=progress,
            **shared,
        )
        result["rows"] = baseline_rows(
            table, arguments.dataset, arguments.metric, best_of=sorted({50, 150, arguments.queries})
        )
        if "nsga2" in methods:
            result["multi_objective"] = searches.multi_objective(
                table, arguments.dataset, arguments.objectives, progress=progress, **shared
            )

    def figures() -> dict[str, "Figure"]:
        from supernet.report import figures as draw

        pictures = {name: draw.searches(result, result["rows"])} if result["methods"] else {}
        if "multi_objective" in result:
            pictures[f"{name}_hypervolume"] = draw.hypervolumes(result["multi_objective"])
        return pictures

    deliver(table, arguments, name, result, lambda: report.baselines(result), figures)


def deliver(
    table: Table,
    arguments: argparse.Namespace,
    name: str,
    result: Any,
    text: Callable[[], str],
    figures: Callable[[], dict[str, "Figure"]] | None = None,
) -> None:
    """Write files for --out; print JSON for --json, else the readable form."""
    # All that can fail is done before the first file is written.
    shown = json.dumps(result, indent=2, allow_nan=False) if arguments.json else text()
    written: list[Path] = []
    if arguments.out is not None:
        pictures = {} if figures is None else figures()
        path = arguments.out / f"{file_name(name)}.json"
        write_json(path, {"command": command_line(), "table": table.sources, "result": result})
        written.append(path)
        for stem, picture in pictures.items():
            written += save_figure(picture, arguments.out / file_name(stem))
    print(shown)
    if not arguments.json:
        print("".join(f"\nwrote {path}" for path in written), end="\n" if written else "")


def save_figure(picture: "Figure", stem: Path) -> list[Path]:
    """SVG and PNG."""
    from supernet.report.figures.style import save

    return save(picture, stem)


def names(text: str) -> list[str]:
    """A comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser(DESCRIPTION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(command: Callable[[Table, argparse.Namespace], None]) -> argparse.ArgumentParser:
        # `python -OO` has no docstrings.
        summary = (command.__doc__ or f"{command.__name__}.").strip()
        sub = commands.add_parser(
            command.__name__, help=summary[0].lower() + summary[1:].rstrip("."),
            description=summary, formatter_class=parser.formatter_class, allow_abbrev=False,
        )  # fmt: skip
        sub.set_defaults(command=command)
        add_common(sub)
        return sub

    sub = add(query)
    sub.add_argument("cell", nargs="*", metavar="CELL", help="string, six-digit code, or index")
    sub.add_argument("--from-file", type=Path, metavar="FILE",
                     help="cells, one a line, or JSON such as genotype.json")  # fmt: skip
    add_column(sub, "chooses the random rows to compare with; default: pgd_8")

    sub = add(top)
    add_column(sub, "to order by; default: pgd_8", costs=True)
    sub.add_argument("-k", type=whole_number(1), default=10, help="how many cells; default: 10")
    sub.add_argument("--max-params", metavar="N", help="such as 0.8M; default: none")
    sub.add_argument("--max-flops", metavar="N",
                     help="multiply-adds for one image, such as 120M; default: none")  # fmt: skip
    add_cheapest(sub)

    sub = add(stats)
    add_column(sub, "for operator shares and replacement effects; default: pgd_8")

    sub = add(compare)
    add_dataset(sub)

    sub = add(front)
    add_dataset(sub)
    sub.add_argument("--objectives", type=names, metavar="A,B[,C]",
                     help=f"two or three of {', '.join(COLUMNS + COSTS)}; default: clean,pgd_8"
                     )  # fmt: skip
    add_cheapest(sub)

    sub = add(baselines)
    add_column(sub, "to search for; default: pgd_8")
    sub.add_argument("--methods", type=names, default=["random", "local", "evolution", "nsga2"],
                     metavar="A,B,..", help="default: random,local,evolution,nsga2")  # fmt: skip
    sub.add_argument("--queries", type=whole_number(1), default=300,
                     help="budget of a run; default: 300")  # fmt: skip
    sub.add_argument("--seeds", type=whole_number(1), default=200,
                     help="number of runs; default: 200")  # fmt: skip
    sub.add_argument("--count", choices=("evaluations", "strings", "classes"),
                     default="evaluations", help="what costs a query: every evaluation, only a "
                     "string not seen before, or only a class not seen before (isomorphs are free);"
                     " default: evaluations")  # fmt: skip
    sub.add_argument("--objectives", type=names, metavar="A,B[,C]",
                     help="of nsga2; default: params,clean,pgd_8")  # fmt: skip
    sub.add_argument("--population", type=whole_number(1), default=30,
                     help="cells, of evolution and nsga2; default: 30")  # fmt: skip
    sub.add_argument("--tournament", type=whole_number(1), default=10,
                     help="cells, of evolution; default: 10")  # fmt: skip
    sub.add_argument("--starts", type=whole_number(1), default=5,
                     help="random cells of which local search starts from the best; default: 5"
                     )  # fmt: skip
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Flags of every command."""
    parser.add_argument("--data-root", metavar="DIR",
                        help="folder with robbench201/, or that folder; default: "
                        "ROBUST_SUPERNET_DATA, else ./data; where it has no table, the one that "
                        "ships is taken")  # fmt: skip
    parser.add_argument("--table", type=Path, metavar="FILE",
                        help="read your own table instead: table.jsonl of scripts/sweep.py"
                        )  # fmt: skip
    parser.add_argument("--recipe", metavar="NAME",
                        help="whose trainings of your table; default: its only one"
                        )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write JSON and figures there")
    parser.add_argument("--no-verify", action="store_true",
                        help="accept files whose SHA-256 is not the published one")  # fmt: skip


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """--dataset."""
    parser.add_argument("--dataset", metavar="NAME",
                        help=f"{', '.join(DATASETS)}; default: cifar10, or your table's own"
                        )  # fmt: skip


def add_column(parser: argparse.ArgumentParser, purpose: str, *, costs: bool = False) -> None:
    """--dataset and --metric."""
    add_dataset(parser)
    good = COLUMNS + COSTS if costs else COLUMNS
    parser.add_argument("--metric", metavar="NAME",
                        help=f"{', '.join(good)}: {purpose}")  # fmt: skip


def add_cheapest(parser: argparse.ArgumentParser) -> None:
    """--cheapest."""
    parser.add_argument("--cheapest", action="store_true",
                        help="take each class's cheapest member instead of the evaluated one "
                        "(358 classes have a cheaper one)")  # fmt: skip
