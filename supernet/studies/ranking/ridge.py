"""One-hot ridge regression: a linear model of the six operators, and a row to beat.

It learns from the truth of other cells, which no training-free score sees. No torch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ops.space import NUM_EDGES, NUM_OPS
from supernet.cells.genotype import Genotype

Array = NDArray[np.float64]
PENALTIES = tuple(10.0**power for power in range(-3, 4))


def one_hot_rows(genotypes: Sequence[Genotype]) -> Array:
    """(n, 30): a one for the operator of each edge."""
    rows = np.zeros((len(genotypes), NUM_EDGES, NUM_OPS))
    for row, genotype in zip(rows, genotypes, strict=True):
        row[np.arange(NUM_EDGES), list(genotype.ops)] = 1
    return rows.reshape(len(genotypes), -1)


def ridge_predictions(x_nF: Array, truth_n: Array, *, folds: int = 10, seed: int = 0) -> Array:
    """Out-of-fold predictions: each cell is predicted by a model that did not see its truth.

    min over w, b of |X w + b - y|^2 + penalty |w|^2. In each fold the penalty is the one of
    PENALTIES with the smallest leave-one-out error on the fold's own training cells.

    Shapes: x (n, F), truth (n,) -> (n,). Raises: ValueError for fewer cells than folds.
    """
    n = len(truth_n)
    if n < folds or folds < 2:
        raise ValueError(f"{n} cells cannot be split into {folds} folds")
    fold_of = np.random.default_rng(seed).permutation(n) % folds
    predicted = np.empty(n)
    for fold in range(folds):
        held, seen = fold_of == fold, fold_of != fold
        x, y = x_nF[seen], truth_n[seen]
        errors = [leave_one_out_error(x, y, penalty) for penalty in PENALTIES]
        w, b = _fit(x, y, PENALTIES[int(np.argmin(errors))])
        predicted[held] = x_nF[held] @ w + b
    return predicted


def leave_one_out_error(x_nF: Array, y_n: Array, penalty: float) -> float:
    """Mean squared error of predicting each cell from all others, in closed form.

    The residual of the full fit divided by 1 - h, h the diagonal of the hat matrix with intercept.
    """
    n = len(y_n)
    centred = x_nF - x_nF.mean(0)
    gram = centred.T @ centred + penalty * np.eye(centred.shape[1])
    hat = np.einsum("nf,fg,ng->n", centred, np.linalg.inv(gram), centred) + 1 / n
    w, b = _fit(x_nF, y_n, penalty)
    return float(np.mean(((y_n - x_nF @ w - b) / (1 - hat)) ** 2))


def _fit(x_nF: Array, y_n: Array, penalty: float) -> tuple[Array, float]:
    mean_x, mean_y = x_nF.mean(0), y_n.mean()
    centred = x_nF - mean_x
    gram = centred.T @ centred + penalty * np.eye(centred.shape[1])
    w = np.linalg.solve(gram, centred.T @ (y_n - mean_y))
    return w, float(mean_y - mean_x @ w)
