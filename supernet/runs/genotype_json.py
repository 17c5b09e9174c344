"""Makes genotype.json: the cells of a search and their places in the benchmark."""

from typing import Any

from torch import Tensor

from ops.captures import CAPTURES
from supernet.benchmark.judged_by import judged_by, other_datasets
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.runs.machine import versions
from supernet.search.config import SearchConfig
from supernet.search.derive import Derivation
from supernet.search.proposals import Proposals


def genotype_record(
    config: SearchConfig,
    data: ImageData,
    derivation: Derivation,
    proposals: Proposals,
    alpha_EO: Tensor,
    w_EO: Tensor,
    table: Table,
    seconds: float,
) -> dict[str, Any]:
    """The content of genotype.json: the chosen cell, the answers by every guide, and baselines.

    `proposals` has scores by a prior, whether or not the search follows it.
    """

    def record(cell: Genotype) -> dict[str, Any]:
        return cell_record(cell, table, data.num_classes, data.full_size)

    judge = judged_by(config.dataset, config.robust)
    whole_EO, inner_EO = derivation.gains
    return {
        **record(derivation.chosen),
        "baselines": baseline_rows(table, *judge),
        "objective": config.objective,
        "alpha_follows": list(config.alpha_follows),
        "robust": config.robust,
        "strategy": config.strategy,
        "dataset": config.dataset,
        "side": config.side,
        "val": config.val,
        "stand_in": data.stand_in,
        "seed": config.seed,
        "alpha": alpha_EO.detach().cpu().tolist(),
        "edge_weights": w_EO.cpu().tolist(),
        "derivation": {
            "chosen_by": derivation.by,
            "cells": {guide: record(cell) for guide, cell in derivation.cells.items()},
            "gains": whole_EO.tolist(),
            "inner_gains": inner_EO.tolist(),
        },
        "proposals": proposals_record(
            proposals, config, data, derivation.cells.get(config.derive_by)
        ),
        "seconds": seconds,
        "without_graphs": CAPTURES.reasons,
        "config_hash": config.hash(),
        "versions": versions(),
    }


def proposals_record(
    proposals: Proposals, config: SearchConfig, data: ImageData, found: Genotype | None
) -> dict[str, Any]:
    """What each part alone would have chosen, by name: the supernet (`gains`), free scores, the
    prior, and both of these together. `prior_used` says whether the search follows the prior."""
    cells = {} if found is None else {"gains": found}
    cells |= {by: proposals.best(by)[0] for by in ("free", "prior", "both")}
    return {
        "prior_datasets": list(shown_prior(config)),
        "prior_used": proposals.follows_prior,
        "cells": {
            by: cell_record(cell, proposals.table, data.num_classes, data.full_size)
            for by, cell in cells.items()
        },
    }


def shown_prior(config: SearchConfig) -> tuple[str, ...]:
    """The data sets of the prior that is shown: those that the search follows, else those of the
    benchmark that do not judge it."""
    judge, _ = judged_by(config.dataset, config.robust)
    return config.prior_datasets or other_datasets(judge)


def cell_record(
    genotype: Genotype, table: Table, num_classes: int, image_size: int
) -> dict[str, Any]:
    """A cell: strings, published index, size, and what the benchmark says of it.

    params and flops are those of the stand-alone network, C=16 and N=5, for such images.
    """
    entry = query_cell(table, genotype)
    return {
        "arch": genotype.arch,
        "code": genotype.code,
        "index": entry["index"],
        "unique_index": entry["unique_index"],
        "params": genotype.params(num_classes),
        "flops": genotype.flops(num_classes, image_size),
        "benchmark": entry,
    }
