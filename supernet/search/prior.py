"""What the benchmark's other data sets say of a cell, as a score of every cell. No torch here.

A cell that withstands attacks on one data set mostly does on another: Kendall's tau between their
columns is 0.68 to 0.91. The prior of a search on CIFAR-10 is made of CIFAR-100 and ImageNet16-120,
never of CIFAR-10 itself: that would be the answer. Images that the benchmark does not know may use
all three.

Legend: R evaluated cells.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.table import Table


def normal_scores(values_R: ArrayLike) -> NDArray[np.float64]:
    """(R,) Phi^-1((rank - 1/2) / R): what a normal variable has at the rank of each value.

    It keeps the order and forgets the scale, as ranks do, and holds the best and the worst cells
    apart, as ranks do not: among the best 10 % of cells the mean of two data sets' ranks has
    Kendall 0.27 with the third, that of their normal scores 0.31 (CIFAR-10; 0.47 and 0.54 for
    CIFAR-100). Equal values share the mean of their ranks.

    Source: van der Waerden 1952.
    """
    values_R = np.asarray(values_R, dtype=np.float64)
    scores: NDArray[np.float64] = ndtri((rankdata(values_R) - 0.5) / len(values_R))
    return scores


def prior_scores(table: Table, datasets: Sequence[str], *, robust: bool) -> NDArray[np.float64]:
    """(R,) the mean over data sets of the normal scores of PGD-20 8/255, or of clean accuracy.

    Higher is better. Data sets count alike.
    Raises: ValueError without data sets.
    """
    if not datasets:
        raise ValueError("a prior needs at least one data set")
    columns = [table.values(d, judged_by(d, robust)[1]) for d in datasets]
    mean: NDArray[np.float64] = np.mean([normal_scores(column) for column in columns], axis=0)
    return mean
