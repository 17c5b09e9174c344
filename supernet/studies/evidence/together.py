"""What the gains of several seeds say together: every group of k seeds of a row, as one answer."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

import torch

from supernet.benchmark.table import Table
from supernet.search.derive import argmax_cell, mean_gains, weights_of
from supernet.studies.evidence.judge import judged
from supernet.studies.evidence.plan import TOP

GROUPS = (1, 2, 3, 5)
"""Seeds that are read together."""
LEAST_SEEDS = 4


def together(table: Table, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each way to read gains and each k of GROUPS, the ranks of all groups of k seeds.

    `records` are one row's. The groups share seeds: they are not independent draws. Fewer than
    LEAST_SEEDS records give none.
    """
    if len(records) < LEAST_SEEDS:
        return []
    found = []
    for by in ("gains", "inner_gains"):
        gains = [torch.tensor(record["gains"][by], dtype=torch.float64) for record in records]
        for k in (k for k in GROUPS if k < len(records)):
            groups = itertools.combinations(gains, k)
            answers = (argmax_cell(weights_of(mean_gains(g)), allow_none=False) for g in groups)
            cells = [judged(table, cell.code) for cell in answers]
            ranks, values = ([cell[name] for cell in cells] for name in ("rank", "pgd_8"))
            found.append({
                "by": by, "seeds": k, "groups": len(cells),
                "median_rank": statistics.median(ranks), "worst_rank": max(ranks),
                "in_top": sum(rank <= TOP for rank in ranks),
                "median_pgd_8": statistics.median(values), "worst_pgd_8": min(values),
            })  # fmt: skip
    return found
