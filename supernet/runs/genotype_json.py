"""Makes genotype.json and front.json: the cells of a search and their places in the benchmark."""

from typing import Any

from torch import Tensor

from supernet.benchmark.judged_by import judged_by
from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.runs.machine import versions
from supernet.search.config import SearchConfig
from supernet.search.derive import Derivation


def genotype_record(
    config: SearchConfig,
    data: ImageData,
    derivation: Derivation,
    alpha_EO: Tensor,
    w_EO: Tensor,
    table: Table,
    seconds: float,
) -> dict[str, Any]:
    """The content of genotype.json: the chosen cell, the answers by every guide, and baselines."""

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
        "seconds": seconds,
        "config_hash": config.hash(),
        "versions": versions(),
    }


def front_record(
    config: SearchConfig,
    data: ImageData,
    front: list[tuple[Genotype, float]],
    table: Table,
) -> dict[str, Any]:
    """The content of front.json: cells from small to large, each with its gain.

    `found_vs_true` judges them by the table's values, which nothing was chosen by.
    """
    dataset, _ = judged_by(config.dataset, True)
    cells = [cell for cell, _ in front]
    return {
        "dataset": config.dataset,
        "side": config.side,
        "size_metric": "params",
        "picked_by": "inner_gains",
        "seed": config.seed,
        "cells": [
            {**cell_record(cell, table, data.num_classes, data.full_size), "gain": gain}
            for cell, gain in front
        ],
        "judged_by": dataset,
        "found_vs_true": found_against_true(table, cells, dataset),
    }


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
