"""The best cells of a column within limits on size."""

from collections.abc import Mapping

import numpy as np

from supernet.benchmark.table import COSTS, Table, check_name
from supernet.cells.genotype import Genotype
from supernet.errors import UserError


def best_cells(
    table: Table,
    dataset: str,
    column: str,
    k: int,
    *,
    limits: Mapping[str, float | None] | None = None,
    cheapest: bool = False,
) -> list[Genotype]:
    """The k best cells by a column (of `params` and `flops` the smallest), best first.

    One cell per class: the evaluated member, or with `cheapest` its cheapest. `limits` are
    inclusive upper bounds for `params` and `flops` (10 classes, 32x32) of that member. Of equal
    values the one with the smaller evaluated index comes first. Fewer than k where fewer fit.

    Raises: UserError when k < 1 or no cell is within the limits.
    """
    if k < 1:
        raise UserError(f"the number of cells to show must be at least 1, not {k}")
    members = table.cheapest_members if cheapest else np.array(table.unique)
    fits = np.ones(table.size, dtype=bool)
    bounds = {cost: bound for cost, bound in (limits or {}).items() if bound is not None}
    for cost, bound in bounds.items():
        check_name("limit", cost, COSTS)
        fits &= table.costs(cost, cheapest=cheapest) <= bound
    if not fits.any():
        asked = " and ".join(f"{cost} <= {bound:,.0f}" for cost, bound in bounds.items())
        least = ", ".join(f"{cost} {int(table.costs(cost).min()):,}" for cost in bounds)
        raise UserError(f"no cell has {asked}; the smallest cell has {least}: raise the limit")
    if column in COSTS:
        badness = table.costs(column, cheapest=cheapest).astype(np.float64)
    else:
        badness = -table.values(dataset, column)
    order = np.argsort(badness, kind="stable")
    rows = order[fits[order]][:k]
    return [table.order.genotype(int(members[row])) for row in rows]
