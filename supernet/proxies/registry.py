"""The scores that need no training, by name: pure functions, all of one form.

    score = PROXIES[name](network, images, labels, generator=None)

`network` is at initialisation and is left as it was; `images` (B, 3, H, W) are in [0, 1]. Each
docstring gives the formula, the source, what higher means, and the sentinel for degenerate cells;
scores are always finite. Names that begin with `robust_` are the same scores on attacked images.
The kernel scores of `supernet.proxies.ntk_scores` come many at a time and have names of their own.
"""

from supernet.proxies.az_nas import az_expressivity, az_progressivity, az_trainability
from supernet.proxies.common import Proxy
from supernet.proxies.croze import croze, croze_released
from supernet.proxies.fisher import fisher
from supernet.proxies.flops import flops
from supernet.proxies.gradnorm import gradnorm
from supernet.proxies.grasp import grasp
from supernet.proxies.jacob_cov import jacob_cov
from supernet.proxies.naswot import naswot
from supernet.proxies.ntk_scores import NTK_NAMES
from supernet.proxies.params import params
from supernet.proxies.robust import robust
from supernet.proxies.snip import snip
from supernet.proxies.synflow import synflow

PROXIES: dict[str, Proxy] = {
    "params": params,
    "flops": flops,
    "gradnorm": gradnorm,
    "snip": snip,
    "grasp": grasp,
    "fisher": fisher,
    "synflow": synflow,
    "jacob_cov": jacob_cov,
    "naswot": naswot,
    "az_expressivity": az_expressivity,
    "az_progressivity": az_progressivity,
    "az_trainability": az_trainability,
    "croze": croze,
    "croze_released": croze_released,
    "robust_gradnorm": robust(gradnorm),
    "robust_snip": robust(snip),
    "robust_grasp": robust(grasp),
    "robust_fisher": robust(fisher),
    "robust_jacob_cov": robust(jacob_cov),
    "robust_naswot": robust(naswot),
}

LOWER_IS_BETTER = frozenset(name for name in NTK_NAMES if name.endswith("_cond"))
"""Scores whose best cell is the one with the lowest value."""

__all__ = ["LOWER_IS_BETTER", "NTK_NAMES", "PROXIES", "Proxy"]
