"""One page that compares several searches: answers, cells, curves, settings and commands."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from supernet.benchmark.rows import baseline_rows
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import atomic_write
from supernet.report.page import charts, landscape, markup
from supernet.report.page.cell import cell_picture
from supernet.report.page.document import Page
from supernet.report.refinement import path_words
from supernet.report.run_files import RunFiles, holds_judge
from supernet.report.words import baseline_name, column_name, dataset_name, duration, percent

PAGE_FILE = "comparison.html"

Runs = Mapping[str, RunFiles]
"""Name -> run, in the order in which they were given."""


def write_comparison(runs: Sequence[RunFiles], path: Path) -> Path:
    """Write the page that compares these finished searches; returns its path.

    The scatter opens on the column that judges the first one.
    Raises: UserError when a run is given twice.
    """
    named = dict(zip(_names([run.folder for run in runs]), runs, strict=True))
    page = Page(title=f"{len(runs)} searches compared")
    page.add(f"<h1>{page.title}</h1>")
    page.add(_answers(named))
    page.add(
        "<p>Accuracy and rank are those of the benchmark's table, by the column that judges the "
        "run; this says nothing of other images. Time is that of the whole run, on its machine."
        "</p>"
    )
    page.add(_seen(named))
    _section(page, "All cells of the benchmark")
    page.scatter_of_all(_scatter(named, runs[0].table), "All cells and the found ones")
    _section(page, "Cells")
    page.add(_cells(named))
    if any(run.epochs for run in runs):
        _section(page, "Learning curves")
        page.chart(charts.compared_curves({n: r.epochs for n, r in named.items()}), "By run")
    _section(page, "Settings that differ")
    page.add(_settings(named))
    _section(page, "Commands")
    for name, run in named.items():
        page.add(f"<h3>{escape(name)}</h3>{markup.command(run.description['command'])}")
    with atomic_write(path) as stream:
        stream.write(page.html(landscape.all_values(runs[0].table)))
    return path


def _section(page: Page, heading: str) -> None:
    page.section(f"<h2>{heading}</h2>", heading)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell all of them apart."""
    paths = [folder.resolve() for folder in folders]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise UserError(f"{folders[number]} is given twice; name each run once")
    for length in count(1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("different paths differ somewhere")


def _answers(runs: Runs) -> str:
    rows = []
    for name, run in runs.items():
        entry, (dataset, column) = run.query(run.cell), run.judge
        rows.append([
            name,
            run.data_words,
            "robust" if run.robust else "clean",
            str(run.record["seed"]),
            run.cell.code,
            f"{run.record['params'] / 1e6:.2f} M",
            f"{dataset_name(dataset)} {column_name(column)}",
            percent(entry["results"][dataset][column]),
            f"{entry['ranks'][dataset][column]:,}",
            duration(run.record["seconds"]),
        ])  # fmt: skip
    header = ["run", "images", "search", "seed", "cell", "params", "judged by", "accuracy"]
    table = markup.table([*header, "rank", "time"], rows, align="lllrlrlrrr")
    return f'<div class="lines">{table}</div>'


def _seen(runs: Runs) -> str:
    """Which ranks prove nothing, because a prior knew them."""
    found: dict[str, list[str]] = {}
    for name, run in runs.items():
        if holds_judge(run.record, run.judge[0]):
            found.setdefault(dataset_name(run.judge[0]), []).append(escape(name))
    words = [
        f"{', '.join(names)} chose with a prior that holds {of}" for of, names in found.items()
    ]
    return f"<p><strong>No test:</strong> {'; '.join(words)}.</p>" if found else ""


def _scatter(runs: Runs, table: Table) -> dict[str, Any]:
    """Every answer in the colour of its run, over the baselines of the first run's judge."""
    judge = next(iter(runs.values())).judge
    marks = [
        landscape.mark(baseline_name(row), "baseline", row)
        for row in baseline_rows(table, *judge, best_of=landscape.BEST_OF)
    ]
    for number, (name, run) in enumerate(runs.items()):
        own = landscape.cell_mark(table, name, f"run {number}", run.cell.code)
        marks.append({**own, "colour": charts.colour_of(number), "ring": number})
    return landscape.scatter(table, judge, marks)


def _cells(runs: Runs) -> str:
    pictures = (
        f'<figure><figcaption><span class="key" style="background: {charts.colour_of(number)}">'
        f"</span>{escape(name)}: {run.cell.code}</figcaption>{_path(run)}{cell_picture(run.cell)}"
        "</figure>"
        for number, (name, run) in enumerate(runs.items())
    )
    return f'<div class="cells">{"".join(pictures)}</div>'


def _path(run: RunFiles) -> str:
    """The cells that the refinement went through, where it changed the first one."""
    record = run.refinement()
    words = "" if record is None else path_words(record)
    return f"<p>{escape(words)}</p>" if " -> " in words else ""


def _settings(runs: Runs) -> str:
    """The fields of the config in which the runs differ."""
    configs = [run.config for run in runs.values()]
    fields = dict.fromkeys(name for config in configs for name in config)
    rows = [
        [name, *values]
        for name in fields
        if name != "out"
        for values in ([_setting(config, name) for config in configs],)
        if len(set(values)) > 1
    ]
    if not rows:
        return "<p>None: these runs have one configuration.</p>"
    return markup.table(["setting", *runs], rows, align="l" * (len(runs) + 1))


def _setting(config: Mapping[str, Any], name: str) -> str:
    if name not in config:
        return "not a setting of that version"
    value = config[name]
    if value is None or isinstance(value, bool):
        return {None: "not set", True: "yes", False: "no"}[value]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
