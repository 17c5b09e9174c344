"""Figures of the table's statistics, fronts, comparisons and searches."""

from supernet.tabular.figures.comparison import comparison
from supernet.tabular.figures.front import front
from supernet.tabular.figures.searches import hypervolumes, searches
from supernet.tabular.figures.statistics import (
    boxes,
    column_correlations,
    dataset_correlations,
    operator_shares,
    replacement_effects,
)

__all__ = [
    "boxes",
    "column_correlations",
    "comparison",
    "dataset_correlations",
    "front",
    "hypervolumes",
    "operator_shares",
    "replacement_effects",
    "searches",
]
