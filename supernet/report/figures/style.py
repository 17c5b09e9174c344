"""What all figures share: colours, line styles, fonts, and how a figure is written."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure

from ops.space import CONV1, CONV3, EDGES, NONE, POOL, SKIP
from supernet.errors import UserError
from supernet.files import atomic_write

# Okabe & Ito 2008: distinct under the common colour deficiencies and in grey print.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, BLACK, GREY = "#CC79A7", "#222222", "#8A8A8A"

OP_COLOURS = {NONE: "#A8A8A8", SKIP: BLACK, CONV1: ORANGE, CONV3: BLUE, POOL: GREEN}
OP_LABELS = {
    NONE: "none",
    SKIP: "skip",
    CONV1: "conv 1×1",
    CONV3: "conv 3×3",
    POOL: "avg pool",
}
OP_LINES: dict[int, Any] = {
    NONE: (0, (1, 2.5)),
    SKIP: (0, (5, 2.5)),
    CONV1: "-.",
    CONV3: "-",
    POOL: (0, (1.2, 1)),
}
EDGE_LABELS = tuple(f"{source}→{node}" for node, source in EDGES)
"""Edges as they are read, from source to node, in the order of alpha's rows."""

_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # The same figure is the same file, so that committed results only change when numbers do.
    "svg.hashsalt": "robust-supernet",
}

P = ParamSpec("P")


def _settings() -> Any:
    """All of matplotlib's own defaults but the backend, which no figure here uses, with `_STYLE`:
    a matplotlibrc of the user, in the current folder for example, changes no figure."""
    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    return defaults | _STYLE


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function under the common style, whatever matplotlib's settings of the user
    are, and leave these as they were."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(_settings()):
            return draw(*args, **kwargs)

    return wrapper


SMALL_PIXELS = 700
"""The width of a figure that TensorBoard shows on 350 pixels: twice as many, so that a dense screen
shows it sharp, too."""


def small_figure(width: float, height: float) -> Figure:
    """A figure of few inches, of SMALL_PIXELS: text of the usual size is large on it."""
    figure = new_figure(width, height)
    figure.set_dpi(SMALL_PIXELS / width)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own, outside pyplot: no window, no global list that keeps it alive."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, stem: str | Path, *, dpi: int = 130) -> list[Path]:
    """Write `stem`.svg and `stem`.png, each whole or not at all; returns the two paths.

    Raises: UserError where the folder is a link, which would lead the pictures elsewhere.
    """
    paths = [Path(f"{stem}.svg"), Path(f"{stem}.png")]
    if paths[0].parent.is_symlink():
        raise UserError(
            f"{paths[0].parent} is a link, and pictures are written into folders of a run alone;"
            " remove the link"
        )
    with matplotlib.rc_context(_settings()):
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {}
            with atomic_write(path, "wb") as stream:
                figure.savefig(stream, format=path.suffix[1:], dpi=dpi, metadata=metadata)
    return paths
