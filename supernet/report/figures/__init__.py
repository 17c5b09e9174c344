"""Figures: drawn without a display, legible at README size, safe for colour-blind readers.

Every function returns a matplotlib `Figure` and, given a path without suffix, writes it there as
SVG and PNG. Colours come from `style` (Okabe and Ito); no figure relies on colour alone.
"""

from supernet.report.figures.cell import draw_cell
from supernet.report.figures.front import found_front
from supernet.report.figures.landscape import front_scatter, scatter_in_benchmark
from supernet.report.figures.style import save
from supernet.report.figures.table_comparison import comparison
from supernet.report.figures.table_front import front
from supernet.report.figures.table_searches import hypervolumes, searches
from supernet.report.figures.table_statistics import (
    boxes,
    column_correlations,
    dataset_correlations,
    operator_shares,
    replacement_effects,
)
from supernet.report.figures.training import training_curves
from supernet.report.figures.weights import alpha_curves, heatmap

__all__ = [
    "alpha_curves",
    "boxes",
    "column_correlations",
    "comparison",
    "dataset_correlations",
    "draw_cell",
    "found_front",
    "front",
    "front_scatter",
    "heatmap",
    "hypervolumes",
    "operator_shares",
    "replacement_effects",
    "save",
    "scatter_in_benchmark",
    "searches",
    "training_curves",
]
