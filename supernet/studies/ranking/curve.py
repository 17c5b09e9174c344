"""How well a supernet orders cells, by how long it was trained: from several rankings. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from supernet.benchmark.correlation import Estimate
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.report.figures.style import BLACK, BLUE, GREEN, VERMILLION, new_figure, save, styled
from supernet.settings import another_version
from supernet.shapes import Each, Within, require
from supernet.studies.ranking.config import SUPERNET_SCORES
from supernet.studies.ranking.figures import column_label
from supernet.studies.ranking.judge import PARAMETERS, REGION_NAMES
from supernet.text import aligned, file_name

LOOKS: dict[str, dict[str, Any]] = {
    "supernet_robust_loss": dict(marker="o", color=VERMILLION),
    "supernet_clean_loss": dict(marker="D", color=BLUE),
    "supernet_robust": dict(marker="o", color=VERMILLION, mfc="white", ls=":"),
    "supernet_clean": dict(marker="D", color=BLUE, mfc="white", ls=":"),
    "supernet_gains": dict(marker="s", color=GREEN, mfc="white", ls=":"),
    "supernet_gains_inner": dict(marker="s", color=GREEN),
}
SHOWN = ("all", "top_10")
DODGE = 0.008
"""Between neighbouring scores of one budget, as a share of the longest budget."""

Record = dict[str, Any]
_TAU = (Within(float, -1, 1), None)
_POINT = {"kendall": {"n": int, "value": _TAU, "low": _TAU, "high": _TAU}}
_RANKING = {
    "supernet_steps": Within(int, 0, 10**12),
    "rows": Each(Each(dict.fromkeys(SHOWN, _POINT))),
}
"""What is taken from a ranking.json, with its shape."""


def make_curve(folders: Sequence[Path], out: Path) -> str:
    """Write OUT/curve.json and OUT/figures/curve-COLUMN; returns what there is to say.

    curve.json: curves[column][score][region] is a list of {steps, n, value, low, high}, Kendall's
    tau with its interval; parameters[column][region] the same of parameter count on the same
    cells; passes[column][score][region] the fewest steps whose value is above it, or null.
    Raises: UserError for a folder without a supernet's ranking, or rankings of different cells.
    """
    rankings = sorted(map(_ranking, folders), key=lambda ranking: ranking["supernet_steps"])
    _refuse_differences(rankings, folders)
    record = curves_of(rankings)
    write_json(out / "curve.json", {"rankings": [str(folder) for folder in folders], **record})
    lines = []
    for column in record["curves"]:
        draw_curve(record, column, out / "figures" / f"curve-{file_name(column)}")
        lines.append(_table(record, column))
    return "\n\n".join([*lines, f"curve and figures: {out}"])


def curves_of(rankings: Sequence[Record]) -> Record:
    """The content of curve.json, of rankings in the order of their steps."""
    curves: Record = {}
    parameters: Record = {}
    passes: Record = {}
    for column, rows in rankings[0]["rows"].items():
        parameters[column] = {region: rows[PARAMETERS][region]["kendall"] for region in SHOWN}
        curves[column], passes[column] = {}, {}
        for score in SUPERNET_SCORES:
            curves[column][score] = {
                region: [
                    {"steps": r["supernet_steps"], **r["rows"][column][score][region]["kendall"]}
                    for r in rankings
                ]
                for region in SHOWN
            }
            passes[column][score] = {
                region: _passes(points, parameters[column][region]["value"])
                for region, points in curves[column][score].items()
            }
    return {"curves": curves, "parameters": parameters, "passes": passes}


def _passes(points: Sequence[Record], bar: float | None) -> int | None:
    """The fewest steps measured at which tau is above the bar."""
    above = [
        point["steps"]
        for point in points
        if bar is not None and point["value"] is not None and point["value"] > bar
    ]
    return min(above, default=None)


def _ranking(folder: Path) -> Record:
    ranking: Record = read_json(folder / "ranking.json")
    if not isinstance(ranking, dict) or "supernet_steps" not in ranking:
        raise UserError(f"{folder} is not a ranking by a supernet; rank with --supernet RUN")
    require(ranking, _RANKING, folder / "ranking.json")
    for rows in ranking["rows"].values():
        missing = [score for score in (*SUPERNET_SCORES, PARAMETERS) if score not in rows]
        if missing:
            raise another_version(folder / "ranking.json", f"no {', '.join(missing)}")
    return ranking


def _refuse_differences(rankings: Sequence[Record], folders: Sequence[Path]) -> None:
    """Parameter count orders the same cells equally well, always: a difference gives them away."""
    for ranking in rankings[1:]:
        for column, rows in rankings[0]["rows"].items():
            if ranking["rows"].get(column, {}).get(PARAMETERS) != rows[PARAMETERS]:
                raise UserError(
                    f"{', '.join(map(str, folders))} are not of the same cells and columns; rank "
                    "with the same --cells, --seed, --columns and --bootstrap"
                )


@styled
def draw_curve(record: Record, column: str, path: Path | None = None) -> Figure:
    """A panel for all cells and one for the top 10 %: tau of the scores with 95 % intervals
    against steps, and the line of parameter count with its own."""
    figure = new_figure(9.2, 4.0)
    panels = figure.subplots(1, len(SHOWN), sharey=True)
    longest = max(p["steps"] for curve in record["curves"][column].values()
                  for p in curve["all"])  # fmt: skip
    for panel, region in zip(panels, SHOWN, strict=True):
        _draw_parameters(panel, record["parameters"][column][region])
        for number, (score, words) in enumerate(SUPERNET_SCORES.items()):
            points = record["curves"][column][score][region]
            points = [p for p in points if p["value"] is not None and p["low"] is not None]
            steps, values = (np.array([p[name] for p in points]) for name in ("steps", "value"))
            # Side by side, or the intervals of one budget hide each other.
            steps = steps + DODGE * (number - (len(SUPERNET_SCORES) - 1) / 2) * longest
            reach = [[p["value"] - p["low"], p["high"] - p["value"]] for p in points]
            # A resampled interval need not hold the value itself where ties abound.
            errors = np.maximum(0, np.array(reach).reshape(-1, 2).T)
            panel.errorbar(
                steps, values, yerr=errors, markersize=5, elinewidth=1.2, capsize=2, label=words,
                **LOOKS[score],
            )  # fmt: skip
        n = record["parameters"][column][region]["n"]
        words = "all cells" if region == "all" else REGION_NAMES[region]
        panel.set_title(f"{words} (n = {n})")
        panel.set_xlabel("steps of training")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel(f"Kendall's τ with {column_label(column)}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    if path is not None:
        save(figure, path)
    return figure


def _draw_parameters(panel: Axes, bar: Record) -> None:
    if bar["value"] is None:
        return
    panel.axhline(bar["value"], color=BLACK, linestyle="--", linewidth=1.4, label="parameters")
    if bar["low"] is not None:
        panel.axhspan(bar["low"], bar["high"], color=BLACK, alpha=0.08, linewidth=0)


def _table(record: Record, column: str) -> str:
    """A line for each score and region, a column for each number of steps."""
    curves, bars, passes = (record[name][column] for name in ("curves", "parameters", "passes"))
    steps = [point["steps"] for point in next(iter(curves.values()))["all"]]
    rows = []
    for region in SHOWN:
        for score, words in SUPERNET_SCORES.items():
            first = passes[score][region]
            rows.append([
                words, REGION_NAMES[region], *(str(_estimate(p)) for p in curves[score][region]),
                "never" if first is None else f"{first:,}",
            ])  # fmt: skip
        rows.append(
            [PARAMETERS, REGION_NAMES[region], *[str(_estimate(bars[region]))] * len(steps), ""]
        )
    header = ["score", "cells", *(f"{count:,} steps" for count in steps), "passes at"]
    return f"{column_label(column)}, Kendall's tau\n{aligned(header, rows, left=2)}"


def _estimate(point: Record) -> Estimate:
    return Estimate(point["n"], point["value"], point["low"], point["high"])
