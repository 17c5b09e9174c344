"""The chart of a refinement's path: all cells that were trained, and the line of the chosen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from supernet.cells.genotype import Genotype
from supernet.report.page.charts import Chart
from supernet.report.refinement import in_order
from supernet.report.run_files import RunFiles
from supernet.report.words import column_name, dataset_name, percent

NOT_FINITE = 1e3
"""A loss that stands for one that is not finite."""
WIDE = 10.0
"""The ratio of losses from which on their axis is logarithmic."""
SPREAD = 0.6
"""The width that the cells of a sweep take, where sweeps are 1 apart."""
MARKERS = (("circle-open", "var(--grey)"), ("circle", "var(--blue)"), ("diamond", "var(--purple)"))


@dataclass(frozen=True)
class _Trained:
    """A cell in a sweep."""

    x: float
    code: str
    number: int
    """Of the last round that it took part in."""
    loss: float | None
    accuracy: float
    rank: int
    chosen: bool


def path_chart(run: RunFiles, record: Mapping[str, Any]) -> Chart:
    """Two panels over the sweeps of a refine.json: held-out loss, and the benchmark's accuracy."""
    sweeps = [sweep for sweep in record["sweeps"] if sweep["rounds"]]
    cells = [cell for place, sweep in enumerate(sweeps) for cell in _cells(run, place, sweep)]
    dataset, column = run.judge
    axis = {
        "tickvals": list(range(len(sweeps))),
        "ticktext": ["proposals" if s["start"] is None else f"from {s['start']}" for s in sweeps],
        "range": [-0.5, len(sweeps) - 0.5],
        "zeroline": False,
    }
    panels = []
    benchmark = f"Benchmark: {dataset_name(dataset)} {column_name(column)}"
    for title, measure, up in (
        ("Held-out loss of the short trainings", "loss", _loss_axis(cells)),
        (benchmark, "accuracy", {"tickformat": ".1%"}),
    ):
        panels.append({
            "title": title,
            "traces": [*_by_round(run, cells, measure), _line(cells, measure)],
            "layout": {"xaxis": axis, "yaxis": up, "hovermode": "closest"},
        })  # fmt: skip
    return {"panels": panels}


def _cells(run: RunFiles, place: int, sweep: Mapping[str, Any]) -> Iterator[_Trained]:
    dataset, column = run.judge
    codes = in_order(sweep["rounds"])
    for number, code in enumerate(codes):
        last = [judged for judged in sweep["rounds"] if code in judged["cells"]][-1]
        loss = last["losses"][last["cells"].index(code)]
        entry = run.query(Genotype.parse(code))
        yield _Trained(
            x=place + SPREAD * ((number + 0.5) / len(codes) - 0.5),
            code=code,
            number=last["number"],
            loss=loss if loss < NOT_FINITE else None,
            accuracy=entry["results"][dataset][column],
            rank=entry["ranks"][dataset][column],
            chosen=code == sweep["chosen"],
        )


def _loss_axis(cells: list[_Trained]) -> dict[str, Any]:
    """Logarithmic where one loss would press all others into a line."""
    losses = [cell.loss for cell in cells if cell.loss]
    if losses and max(losses) > WIDE * min(losses):
        return {"type": "log", "tickformat": "~g", "nticks": 6}
    return {"tickformat": ".3f"}


def _by_round(run: RunFiles, cells: list[_Trained], measure: str) -> Iterator[dict[str, Any]]:
    """A trace for each number of steps that cells were trained for at most."""
    for number in sorted({cell.number for cell in cells}):
        shown = [cell for cell in cells if cell.number == number]
        symbol, colour = MARKERS[min(number, len(MARKERS) - 1)]
        yield {
            **_points(shown, measure),
            "mode": "markers",
            "name": f"{run.config['refine_steps'][number]} steps",
            "marker": {"symbol": symbol, "color": colour, "size": 9},
        }


def _line(cells: list[_Trained], measure: str) -> dict[str, Any]:
    return {
        **_points([cell for cell in cells if cell.chosen], measure),
        "mode": "lines+markers",
        "name": "chosen",
        "line": {"color": "var(--red)", "width": 2},
        "marker": {"symbol": "star", "size": 15, "color": "var(--red)"},
    }


def _points(cells: list[_Trained], measure: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [cell.x for cell in cells],
        "y": [getattr(cell, measure) for cell in cells],
        "text": [_words(cell) for cell in cells],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _words(cell: _Trained) -> str:
    loss = "not finite" if cell.loss is None else f"{cell.loss:.3f}"
    return (
        f"<b>{cell.code}</b><br>loss {loss}<br>benchmark {percent(cell.accuracy)}, "
        f"rank {cell.rank:,}"
    )
