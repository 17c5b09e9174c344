"""Charts of a page as plain values that plotly's script draws: traces and axes, panel by panel.

Colours are variables of the page, so that a chart follows light and dark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ops.space import NUM_OPS
from supernet.benchmark.table import COSTS, Table
from supernet.benchmark.true_front import true_front
from supernet.report.figures.style import (
    BLACK,
    BLUE,
    EDGE_LABELS,
    GREEN,
    OP_LABELS,
    ORANGE,
    PURPLE,
    VERMILLION,
)
from supernet.report.figures.training import DASHED, DOTTED, PANELS, Panel
from supernet.report.page import markup
from supernet.report.page.cell import OP_COLOURS
from supernet.report.words import column_name, dataset_name

Chart = dict[str, Any]
"""`panels`: each with `title`, `traces` and `layout` of plotly; `legend`: name, colour and dash of
lines that all panels share."""

COLOURS = {
    BLACK: "var(--ink)",
    BLUE: "var(--blue)",
    VERMILLION: "var(--red)",
    GREEN: "var(--green)",
    ORANGE: "var(--orange)",
    PURPLE: "var(--purple)",
}
"""Colours of the figures -> those of the page."""
DASHES = {"-": "solid", DASHED: "dash", DOTTED: "dot"}
OP_DASHES = ("dot", "dash", "dashdot", "solid", "dot")
PER_CENT = " (%)"
"""What labels of figures end in; axes of a page say it at each number."""
_STEPS = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
RUN_COLOURS = tuple(
    f"var(--{name})" for name in ("red", "blue", "green", "orange", "purple", "ink", "grey")
)


def curves(records: Sequence[Mapping[str, Any]], panels: Sequence[Panel] = PANELS) -> Chart:
    """Learning curves: a panel for each group of metrics that the lines of metrics.jsonl hold."""
    drawn = []
    for title, label, factor, lines in panels:
        traces = [
            line(*series(records, metric), factor, name, COLOURS[colour], DASHES[dash])
            for metric, name, colour, dash in lines
            if series(records, metric)[0]
        ]
        if traces:
            drawn.append(
                {"title": title, "traces": traces, "layout": over_epochs(label, factor, records)}
            )
    return {"panels": drawn}


def compared_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Chart:
    """The learning curves of several runs: a panel for each metric, a colour for each run."""
    drawn = []
    for _, label, factor, lines in PANELS:
        for metric, name, *_ in lines:
            traces = [
                line(*series(records, metric), factor, run, colour_of(number), "solid")
                for number, (run, records) in enumerate(runs.items())
                if series(records, metric)[0]
            ]
            if traces:
                longest = max(runs.values(), key=len)
                layout = {**over_epochs(label, factor, longest), "showlegend": False}
                title = f"{label.replace(PER_CENT, '')}: {name}"
                drawn.append({"title": title, "traces": traces, "layout": layout})
    legend = [
        (run, colour_of(number), "solid")
        for number, (run, records) in enumerate(runs.items())
        if records
    ]
    return {"panels": drawn, "legend": legend}


def edge_weights(records: Sequence[Mapping[str, Any]]) -> Chart:
    """The weight of every operator over the epochs, a panel for each edge."""
    epochs = [record["epoch"] for record in records]
    top = max(max(max(row) for row in record["edge_weights"]) for record in records)
    layout = over_epochs("weight", 1.0, records) | {"showlegend": False}
    layout["yaxis"] = {**layout["yaxis"], "range": [0, min(1.0, max(0.3, 1.08 * top))]}
    panels = [
        {
            "title": f"edge {label}",
            "traces": [
                line(
                    epochs, [record["edge_weights"][edge][op] for record in records], 1.0,
                    OP_LABELS[op], OP_COLOURS[op], OP_DASHES[op],
                )
                for op in range(NUM_OPS)
            ],
            "layout": layout,
        }
        for edge, label in enumerate(EDGE_LABELS)
    ]  # fmt: skip
    legend = [(OP_LABELS[op], OP_COLOURS[op], OP_DASHES[op]) for op in range(NUM_OPS)]
    return {"panels": panels, "legend": legend}


def finalists(record: Mapping[str, Any]) -> Chart:
    """Accuracies of the finalists of a finalists.json, a point for each seed."""
    robust = record["eps"] is not None
    names = [markup.plain(" = ".join(cell["names"])) for cell in record["cells"]]
    measures = [("clean", "clean", "var(--blue)")]
    measures += [("robust", "attacked", "var(--red)")] if robust else []
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": words,
            "x": [value for cell in record["cells"] for value in cell[measure]],
            "y": [
                name
                for name, cell in zip(names, record["cells"], strict=True)
                for _ in cell[measure]
            ],
            "marker": {"color": colour, "size": 10, "opacity": 0.75},
            "hovertemplate": "%{y}<br>%{x:.2%}",
        }
        for measure, words, colour in measures
    ]
    layout = {
        "xaxis": {"title": {"text": "accuracy of each seed"}, "tickformat": ".0%"},
        "yaxis": {"autorange": "reversed", "automargin": True},
        "height": 170 + 34 * len(names),
        "hovermode": "closest",
    }
    return {"panels": [{"title": "Finalists", "traces": traces, "layout": layout}]}


def front(record: Mapping[str, Any], table: Table) -> Chart:
    """The cells of a front.json and the true front: robust accuracy over size and over clean."""
    dataset, size = record["judged_by"], record["size_metric"]
    true = true_front(table, dataset, (size, "clean", "pgd_8"), cheapest=True)["cells"]
    first = [cell for cell in record["cells"] if cell["place"] == 1]
    further = [cell for cell in record["cells"] if cell["place"] > 1]
    layers = (
        ("true front", true, {"symbol": "circle-open", "size": 11, "color": "var(--green)"}),
        ("further choices", further, {"symbol": "diamond", "size": 6, "color": "var(--orange)"}),
        ("first choices", first, {"symbol": "star", "size": 12, "color": "var(--red)"}),
    )
    shares = {"tickformat": ".0%"}
    robust = {"title": {"text": f"{column_name('pgd_8')}, {dataset_name(dataset)}"}, **shares}
    panels = []
    for title, column, axis in (
        ("Size and robust accuracy", size, {"title": {"text": column_name(size)}}),
        ("Clean and robust accuracy", "clean", {"title": {"text": "clean accuracy"}, **shares}),
    ):
        traces = [_cells(name, cells, dataset, column, marker) for name, cells, marker in layers]
        layout = {"xaxis": axis, "yaxis": robust, "hovermode": "closest"}
        panels.append({"title": title, "traces": traces, "layout": layout})
    return {"panels": panels}


def _cells(
    name: str, cells: Sequence[Mapping[str, Any]], dataset: str, column: str, marker: dict[str, Any]
) -> dict[str, Any]:
    entries = [cell.get("benchmark", cell) for cell in cells]
    across = [
        entry[column] if column in COSTS else entry["results"][dataset][column] for entry in entries
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": across,
        "y": [entry["results"][dataset]["pgd_8"] for entry in entries],
        "text": [f"<b>{entry['code']}</b>, {entry['params'] / 1e6:.3f} M" for entry in entries],
        "marker": marker,
        "hovertemplate": "%{text}<br>%{y:.2%}<extra></extra>",
    }


def series(records: Sequence[Mapping[str, Any]], metric: str) -> tuple[list[float], list[float]]:
    """Epochs and values of a metric, without the epochs where it is absent or null."""
    pairs = [
        (record["epoch"], record[metric]) for record in records if record.get(metric) is not None
    ]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def line(
    x: Sequence[float], y: Sequence[float], factor: float, name: str, colour: str, dash: str
) -> dict[str, Any]:
    """A trace; factor 100 marks shares, which are shown in per cent. A single point is a dot."""
    return {
        "type": "scatter",
        "mode": "lines" if len(x) > 1 else "markers",
        "name": markup.plain(name),
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "dash": dash, "width": 2.2},
        "marker": {"color": colour, "size": 8},
        "hovertemplate": "%{y:.2%}" if factor == 100.0 else "%{y:.4g}",
    }


def over_epochs(label: str, factor: float, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The layout of a panel with epochs across, at most eight of them named."""
    last = records[-1]["epoch"]
    step = next(step for step in _STEPS if last / step <= 8)
    up = {"tickformat": ".0%", "range": [0, 1]} if factor == 100.0 else {}
    return {
        "xaxis": {"title": {"text": "epoch"}, "tick0": 0, "dtick": step},
        "yaxis": {"title": {"text": label.replace(PER_CENT, "")}, **up},
        "hovermode": "x unified",
    }


def colour_of(number: int) -> str:
    """The colour of a run; after seven runs they repeat."""
    return RUN_COLOURS[number % len(RUN_COLOURS)]
