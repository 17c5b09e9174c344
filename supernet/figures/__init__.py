"""Figures: drawn without a display, legible at README size, safe for colour-blind readers.

Every function returns a matplotlib `Figure` and, given a path without suffix, writes it there as
SVG and PNG. Colours come from `style` (Okabe and Ito); no figure relies on colour alone.
"""

from supernet.figures.cell import draw_cell
from supernet.figures.front import found_front
from supernet.figures.landscape import front_scatter, scatter_in_benchmark
from supernet.figures.style import save
from supernet.figures.training import training_curves
from supernet.figures.weights import alpha_curves, heatmap

__all__ = [
    "alpha_curves",
    "draw_cell",
    "found_front",
    "front_scatter",
    "heatmap",
    "save",
    "scatter_in_benchmark",
    "training_curves",
]
