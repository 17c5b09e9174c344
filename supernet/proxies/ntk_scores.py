"""Scores of a kernel that are read from its spectrum."""

import torch
from torch import Tensor

from supernet.proxies.ntk import Kernels

BETA = 0.5
KERNELS = ("clean", "robust", "twice", "all", "all_robust")
"""K, K~, K~2, K_all and K~_all at beta = 0.5; the cross kernels are not symmetric."""
RESOLUTION = 1e-12
"""Eigenvalues below this share of the largest are rounding errors of zero."""


def spectrum(kernel: Tensor) -> Tensor:
    """Eigenvalues in rising order, (M,); those lost in rounding, negative ones too, are 0.

    A score of a kernel never depends on rounding errors: below 1e-12 of the largest, 0.
    """
    values = torch.linalg.eigvalsh(kernel)
    return torch.where(values > RESOLUTION * values[-1].abs(), values, 0.0)


def min_eigenvalue(kernel: Tensor) -> float:
    """The smallest eigenvalue: the paper's bounds fall as it rises. Higher means easier to train.

    Sentinel: 0 for a singular kernel (such as that of a cell without a path to its output).
    """
    return spectrum(kernel)[0].item()


def condition_number(kernel: Tensor) -> float:
    """Largest over smallest eigenvalue. HIGHER MEANS WORSE: slower training along some direction.

    Sentinel: 1e12, the reciprocal of the resolution, for a singular or an all-zero kernel.
    Source:   Chen et al. 2021 (TE-NAS), arXiv:2102.11535, eq. 5.
    """
    values = spectrum(kernel)
    if values[0] <= 0:
        return 1 / RESOLUTION
    return (values[-1] / values[0]).item()


def trace(kernel: Tensor) -> float:
    """The sum of squared gradient norms. Higher means faster first steps; 0 is no gradient."""
    return kernel.diagonal().sum().item()


def frobenius(kernel: Tensor) -> float:
    """The root of the sum of squared entries. Higher means larger gradients, or more alike ones."""
    return kernel.norm().item()


MEASURES = {
    "min": min_eigenvalue,
    "cond": condition_number,
    "trace": trace,
    "fro": frobenius,
}


def kernel_scores(kernels: Kernels, beta: float = BETA) -> dict[str, float]:
    """`ntk_KERNEL_MEASURE` for every kernel of KERNELS and every measure of MEASURES.

    The measure says what higher means: more of min (the smallest eigenvalue), trace and fro is
    easier or faster training, more of cond worse.
    """
    symmetric = {
        "clean": kernels.clean,
        "robust": kernels.robust,
        "twice": kernels.twice,
        "all": kernels.k_all(beta),
        "all_robust": kernels.k_all_robust(beta),
    }
    return {
        f"ntk_{name}_{measure}": score(kernel)
        for name, kernel in symmetric.items()
        for measure, score in MEASURES.items()
    }


NTK_NAMES = tuple(f"ntk_{kernel}_{measure}" for kernel in KERNELS for measure in MEASURES)
