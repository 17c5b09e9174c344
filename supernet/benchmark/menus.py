"""What a menu of cells, some of each size, covers of the true front; and what random menus cover.

Legend: R evaluated cells, by row of the table.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from supernet.benchmark.table import Table
from supernet.benchmark.true_front import objective_points, scaled_hypervolume

AXES = ("params", "clean", "pgd_8")
DRAWS = 200
"""Random menus: the standard error of their median is about 0.2 points."""


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
        """The share that the cells of these rows have, from 0 to 1."""
        return scaled_hypervolume(self.points[np.asarray(rows)], self.dataset, AXES) / self.whole


def best_of_each_size(
    score_R: ArrayLike, sizes_R: NDArray[np.integer], rows: NDArray[np.integer], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) rows and (n,) places: for each size among `rows`, up to `most` with the highest scores.

    Ordered by size, and within a size by place, 1 for the highest score. Of equal scores the first
    row of `rows` comes first.
    """
    order = rows[np.argsort(-np.asarray(score_R)[rows], kind="stable")]
    order = order[np.argsort(sizes_R[order], kind="stable")]
    begins = np.append(True, np.diff(sizes_R[order]) != 0)
    place = np.arange(len(order)) - np.flatnonzero(begins)[np.cumsum(begins) - 1] + 1
    kept = place <= most
    return order[kept], place[kept]


def random_menus(
    cover: Cover,
    sizes_R: NDArray[np.integer],
    rows: NDArray[np.integer],
    most: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Shares of menus of up to `most` random cells of each size among `rows`: their median as
    `hypervolume_ratio`, their 2.5th and 97.5th percentile as `interval`."""
    random = np.random.default_rng(seed)
    scores = (random.random(len(sizes_R)) for _ in range(draws))
    shares = [cover.share(best_of_each_size(s, sizes_R, rows, most)[0]) for s in scores]
    low, median, high = np.percentile(shares, (2.5, 50, 97.5)).tolist()
    return {"hypervolume_ratio": median, "interval": [low, high]}
