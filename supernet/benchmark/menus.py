"""What a menu of cells, some of each size, covers of the true front; and what a random menu does.

Legend: R evaluated cells, by row.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from supernet.benchmark.table import Table
from supernet.benchmark.true_front import objective_points, scaled_hypervolume

AXES = ("params", "clean", "pgd_8")
DRAWS = 300
"""Random menus; their median has a standard error of about 0.1 points."""


class Cover:
    """Hypervolumes over (parameters, clean, PGD-20 8/255) of cells, as shares of all cells'.

    By the table's values, with the parameters of the cheapest member of each class.
    """

    def __init__(self, table: Table, dataset: str) -> None:
        self.dataset = dataset
        self.points = objective_points(table, dataset, AXES, cheapest=True)

    @functools.cached_property
    def whole(self) -> float:
        """The hypervolume of all cells, which is that of the true front."""
        return scaled_hypervolume(self.points, self.dataset, AXES)

    def share(self, rows: ArrayLike) -> float:
        """The share of these rows, from 0 to 1."""
        return scaled_hypervolume(self.points[np.asarray(rows)], self.dataset, AXES) / self.whole


def best_of_each_size(
    score_R: NDArray[np.float64], sizes_R: NDArray[np.integer], rows: NDArray[np.integer], most: int
) -> list[NDArray[np.int64]]:
    """For each size among `rows`, up to `most` of them with the highest scores, best first."""
    found = []
    for size in np.unique(sizes_R[rows]):
        same = rows[sizes_R[rows] == size]
        found.append(same[np.argsort(-score_R[same], kind="stable")[:most]])
    return found


def random_menus(
    cover: Cover,
    sizes_R: NDArray[np.integer],
    rows: NDArray[np.integer],
    most: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Shares of menus of up to `most` random cells of each size: median, 2.5th and 97.5th
    percentile as `hypervolume_ratio` and `interval`."""
    random = np.random.default_rng(seed)
    shares = [
        cover.share(np.concatenate(best_of_each_size(random.random(len(sizes_R)), sizes_R, rows, most)))
        for _ in range(draws)
    ]
    low, median, high = np.percentile(shares, (2.5, 50, 97.5)).tolist()
    return {"hypervolume_ratio": median, "interval": [low, high]}
