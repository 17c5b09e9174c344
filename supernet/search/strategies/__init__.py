"""Search strategies, behind one interface (`base.Strategy`)."""

from collections.abc import Callable

import torch

from supernet.errors import UserError
from supernet.search.strategies.base import Losses, Strategy, WeightStep
from supernet.search.strategies.darts import DARTS
from supernet.search.strategies.darts2 import DARTS2
from supernet.search.strategies.drnas import DrNAS
from supernet.search.strategies.gdas import GDAS

STRATEGIES: dict[str, Callable[[torch.Generator | None], Strategy]] = {
    "darts": DARTS,
    "darts2": DARTS2,
    "drnas": DrNAS,
    "gdas": GDAS,
}


def make_strategy(name: str, generator: torch.Generator | None = None) -> Strategy:
    """Build a strategy of STRATEGIES with a fresh alpha.

    Raises: UserError for an unknown name, listing the good ones.
    """
    if name not in STRATEGIES:
        raise UserError(f"strategy '{name}' is unknown; choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name](generator)


__all__ = ["STRATEGIES", "Losses", "Strategy", "WeightStep", "make_strategy"]
