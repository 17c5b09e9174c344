"""report.html: the report of a search with charts in place of its figures."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from supernet.files import atomic_write
from supernet.report.page import charts, landscape, markup
from supernet.report.page.cell import cell_picture
from supernet.report.page.document import Page
from supernet.report.page.path import path_chart
from supernet.report.page.weights import weights_table
from supernet.report.run_files import RunFiles
from supernet.report.standalone import PANELS

PAGE_FILE = "report.html"

_HEADING = re.compile(r"(#{1,3}) (.*)")
_FIGURE = re.compile(r"!\[(.*)\]\((figures/(.*)\.svg)\)")
_SUMMARY = re.compile(r"<details><summary>(.*)</summary>")


def write_page(run: RunFiles, blocks: Sequence[str], path: Path) -> Path:
    """Write the page of a finished search; returns its path.

    blocks: those of report.md. Their texts and tables are the page's, too.
    """
    answer, *sections = _sections(blocks)
    page = Page(title=answer[0].removeprefix("# "))
    _answer(page, run, answer)
    for heading, *content in sections:
        text = heading.removeprefix("## ")
        page.section(markup.heading(2, text), text)
        for block in content[:1]:
            _add(page, run, block)
        _chart_without_figure(page, run, text)
        for block in content[1:]:
            _add(page, run, block)
    with atomic_write(path) as stream:
        stream.write(page.html(landscape.all_values(run.table)))
    return path


def _sections(blocks: Sequence[str]) -> list[list[str]]:
    """The blocks in parts, each from a heading to the next; smaller headings stay inside."""
    parts: list[list[str]] = [[]]
    for block in blocks:
        if block.startswith("## "):
            parts.append([])
        parts[-1].append(block)
    return parts


def _answer(page: Page, run: RunFiles, blocks: Sequence[str]) -> None:
    """The title and the verdict, and below them the cell's picture next to its facts."""
    picture = next(number for number, block in enumerate(blocks) if _FIGURE.fullmatch(block))
    page.add('<div class="answer">')
    for block in blocks[:picture]:
        _add(page, run, block)
    page.add(f'<div class="picture">{cell_picture(run.cell)}</div><div class="facts">')
    for block in blocks[picture + 1 :]:
        _add(page, run, block)
    page.add("</div></div>")


def _add(page: Page, run: RunFiles, block: str) -> None:
    """Add a block of report.md: a heading, a figure, an end of what can be folded, or text."""
    if heading := _HEADING.fullmatch(block):
        page.add(markup.heading(len(heading[1]), heading[2]))
    elif figure := _FIGURE.fullmatch(block):
        _figure(page, run, *figure.groups())
    elif summary := _SUMMARY.fullmatch(block):
        page.add(f"<details><summary>{markup.plain(summary[1])}</summary>")
    elif block == "</details>":
        page.add(block)
    else:
        page.add(markup.from_markdown(block))


def _figure(page: Page, run: RunFiles, words: str, file: str, name: str) -> None:
    """Add what stands for a figure of report.md; one without a chart is taken in as it is."""
    if name == "benchmark":
        page.scatter_of_all(landscape.of_run(run), words)
    elif name == "front":
        if (front := run.front()) is not None:
            page.chart(charts.front(front, run.table), words)
    elif name == "edge_weights":
        none = run.config["derive_none"]
        page.add(weights_table(run.record["edge_weights"], run.cell.ops, none=none))
    elif name == "edge_weights_over_time":
        page.chart(charts.edge_weights(run.epochs), words)
    elif name == "learning_curves":
        page.chart(charts.curves(run.epochs), words)
    elif standalone := re.fullmatch(r"standalone(?:-(\d+))?", name):
        epochs = run.evaluations[int(standalone[1] or 1) - 1].epochs
        page.chart(charts.curves(epochs, PANELS), words)
    else:
        picture = base64.b64encode((run.folder / file).read_bytes()).decode()
        source = f"data:image/svg+xml;base64,{picture}"
        page.add(f'<img alt="{markup.plain(words)}" src="{source}">')


def _chart_without_figure(page: Page, run: RunFiles, section: str) -> None:
    """Add the chart of a section whose report.md has none."""
    if section == "Refinement" and (refinement := run.refinement()) is not None:
        page.chart(path_chart(run, refinement), "The cells of each sweep and the chosen ones")
    elif section == "Finalists" and (finalists := run.finalists()) is not None:
        page.chart(charts.finalists(finalists), "Accuracies of the finalists by seed")
