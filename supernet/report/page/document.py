"""One page, one file: text, charts, plotly's script and the benchmark's values, without network.

The page's own script draws the charts; tables, texts and pictures of cells need no script.
"""

import base64
import gzip
import json
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import Any

from supernet.report.page.charts import Chart

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing."""
DASHES = {"solid": "none", "dash": "9 5", "dot": "2 4", "dashdot": "9 4 2 4"}
"""Dashes of plotly -> those of the legend that panels share."""
CHOICES = (("dataset", "data set"), ("x", "across"), ("y", "up"))


@dataclass
class Page:
    """A page that is being put together."""

    title: str
    charts: dict[str, Chart] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    scatter: dict[str, Any] | None = None

    def add(self, html: str) -> None:
        """Add a piece of HTML."""
        self.parts.append(html)

    def section(self, html: str, text: str) -> None:
        """End the section before and begin one: its heading as HTML and, for the menu, as text."""
        self.headings.append(text)
        self.add(f'</section><section id="s{len(self.headings)}">{html}')

    def chart(self, chart: Chart, words: str) -> None:
        """Add a chart; `words` say what it shows where nothing can be drawn."""
        if not chart["panels"]:
            return
        name = f"chart{len(self.charts) + 1}"
        self.charts[name] = chart
        legend = "".join(
            f'<span><svg width="34" height="10"><line x1="1" x2="33" y1="5" y2="5" '
            f'stroke="{colour}" stroke-width="3" stroke-dasharray="{DASHES[dash]}"/></svg>'
            f"{escape(line)}</span>"
            for line, colour, dash in chart.get("legend", ())
        )
        panels = "".join(
            f"<figure><figcaption>{escape(panel['title'])}</figcaption>"
            f'<div class="plot" id="{name}-{number}"></div></figure>'
            for number, panel in enumerate(chart["panels"])
        )
        legend = f'<p class="legend">{legend}</p>' if legend else ""
        count = min(3 if legend else 2, len(chart["panels"]))
        self.add(
            f'<div class="chart" role="group" aria-label="{escape(words)}">{legend}'
            f'<div class="panels columns{count}">{panels}</div></div>'
        )

    def scatter_of_all(self, scatter: dict[str, Any], words: str) -> None:
        """Add the scatter of all cells, once per page, with a choice of its axes."""
        self.scatter = scatter
        options = {
            "dataset": scatter["datasets"], "x": scatter["columns"], "y": scatter["columns"],
        }  # fmt: skip
        choices = "".join(
            f'<label>{label} <select id="scatter-{name}">{_options(options[name])}</select></label>'
            for name, label in CHOICES
        )
        self.add(
            f'<div class="chart" role="group" aria-label="{escape(words)}">'
            f'<p class="choices">{choices}</p><div class="plot" id="scatter"></div></div>'
        )

    def html(self, values: bytes) -> str:
        """The whole file.

        values: the benchmark's values as `landscape.all_values` gives them.
        """
        menu = "".join(
            f'<a href="#s{number}">{escape(text)}</a>'
            for number, text in enumerate(self.headings, start=1)
        )
        data = {"charts": self.charts, "scatter": self.scatter}
        own = resources.files("supernet.report.page")
        style, script = (
            (own / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
        )
        return "\n".join([
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(self.title)}</title>",
            f"<style>\n{style}</style>\n</head>\n<body>",
            f"<nav>{menu}</nav>\n<main>\n<section>",
            *self.parts,
            "</section>\n</main>",
            f'<script type="application/json" id="data">{as_script(data)}</script>',
            f'<script type="text/plain" id="values">{packed(values)}</script>',
            f'<script type="text/plain" id="plotly">{packed(_plotly())}</script>',
            f"<script>\n{script}</script>",
            "</body>\n</html>\n",
        ])  # fmt: skip


def as_script(value: Any) -> str:
    """The JSON of a value, for a script element: no text in it can end that element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(content: bytes) -> str:
    """Base64 of the gzip of a content, the same for the same content."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _plotly() -> bytes:
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script.encode()


def _options(pairs: list[list[str]]) -> str:
    return "".join(f'<option value="{escape(v)}">{escape(words)}</option>' for v, words in pairs)
