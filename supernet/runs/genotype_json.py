"""genotype.json: the cell that a search found, and what the benchmark says of it."""

from typing import Any

from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import DATASETS, Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.runs.machine import versions
from supernet.search.derive import Derivation
from supernet.search.front import Front
from supernet.search.search import Search
from supernet.studies.ranking.predictor import CellScore, scores_of


def judged_by(dataset: str, robust: bool) -> tuple[str, str]:
    """(data set, column) of the table by which a run is judged.

    Its own data set where the table has it, else cifar10; PGD at 8/255 for a robust search, clean
    accuracy for an ordinary one.
    """
    return dataset if dataset in DATASETS else "cifar10", "pgd_8" if robust else "clean"


def genotype_record(
    search: Search, derivation: Derivation, table: Table | None, seconds: float
) -> dict[str, Any]:
    """The content of genotype.json; `benchmark` and `baselines` are null without a table."""
    config = search.config
    judge = judged_by(config.dataset, config.robust)
    return {
        **cell_record(derivation.chosen, table, *_images(search.data)),
        "baselines": None if table is None else baseline_rows(table, *judge),
        "objective": config.objective_name,
        "robust": config.robust,
        "strategy": config.strategy,
        "dataset": config.dataset,
        "stand_in": search.data.stand_in,
        "seed": config.seed,
        "alpha": search.strategy.alpha.detach().cpu().tolist(),
        "edge_weights": search.strategy.expected_weights().cpu().tolist(),
        "derivation": {
            "chosen_by": derivation.chosen_by,
            "argmax": cell_record(derivation.argmax, table, *_images(search.data)),
            **_gains_record(derivation, table, search.data),
            "images": min(config.derive_images, len(search.alpha_half)),
            "attack": f"pgd-{config.probe_steps}" if config.robust else None,
            "scores": [_score(score) for score in derivation.scores],
        },
        "seconds": seconds,
        "config_hash": config.hash(),
        "versions": versions(),
    }


def _gains_record(derivation: Derivation, table: Table | None, data: ImageData) -> dict[str, Any]:
    """gains, argmax_gains and the same of inner gains; null where there are none."""
    names = ("gains", "inner_gains")
    if derivation.gains is None or derivation.by_gains is None:
        return {key: None for name in names for key in (name, f"argmax_{name}")}
    found: dict[str, Any] = {}
    for name, g_EO, cell in zip(names, derivation.gains, derivation.by_gains, strict=True):
        found |= {name: g_EO.tolist(), f"argmax_{name}": cell_record(cell, table, *_images(data))}
    return found


def front_record(search: Search, front: Front, table: Table | None) -> dict[str, Any]:
    """The content of front.json; what needs the table is null without it.

    `found_vs_true` judges cells by the table's values: `found`; `strict`, those of them that no
    smaller one dominates; `proposed`, all cells that alpha proposed, no score asked; and, where
    baselines were asked for, `drawn`, as many random cells as were proposed, and the fronts of
    other searches that scored as many cells as this.
    """
    config = search.config
    dataset, _ = judged_by(config.dataset, True)
    fronts = {
        "found": [score.genotype for score in front.cells],
        "strict": [score.genotype for score in front.strict],
        "proposed": [cell for cell, _ in front.proposed],
        **({"drawn": front.drawn} if front.drawn else {}),
        **{n: [score.genotype for score in scores] for n, scores in front.baselines.items()},
    }
    preferences = {cell.canonical: preference for cell, preference in front.proposed}
    strict = {score.genotype for score in front.strict}
    return {
        "objectives": ["clean_loss", "robust_loss", config.size_metric],
        "dataset": config.dataset,
        "size_metric": config.size_metric,
        "queries": config.front_queries,
        "images": min(config.derive_images, len(search.alpha_half)),
        "attack": f"pgd-{config.probe_steps}",
        "seed": config.seed,
        "cells": [
            {
                **cell_record(score.genotype, table, *_images(search.data)),
                **scores_of(score),
                "strict": score.genotype in strict,
                "preference": preferences.get(score.genotype.canonical),
            }
            for score in front.cells
        ],
        "archive": [
            {**_score(score), config.size_metric: search.cost(score.genotype, config.size_metric)}
            for score in front.archive
        ],
        "corners": {name: _score(score) for name, score in front.corners.items()},
        "baselines": {n: [_score(s) for s in scores] for n, scores in front.baselines.items()},
        "judged_by": dataset,
        "found_vs_true": table
        and {
            name: found_against_true(table, cells, dataset, config.size_metric)
            for name, cells in fronts.items()
        },
    }


def cell_record(
    genotype: Genotype, table: Table | None, num_classes: int, image_size: int
) -> dict[str, Any]:
    """A cell: strings, published index, size, benchmark; what needs the table is null without it.

    params and flops are those of the stand-alone network, C=16 and N=5, for such images.
    """
    entry = None if table is None else query_cell(table, genotype)
    return {
        "arch": genotype.arch,
        "code": genotype.code,
        "index": None if entry is None else entry["index"],
        "unique_index": None if entry is None else entry["unique_index"],
        "params": genotype.params(num_classes),
        "flops": genotype.flops(num_classes, image_size),
        "benchmark": entry,
    }


def _images(data: ImageData) -> tuple[int, int]:
    """(classes, side) that a stand-alone network is made for."""
    return data.num_classes, data.full_size


def _score(score: CellScore) -> dict[str, Any]:
    cell = score.genotype
    return {"arch": cell.arch, "code": cell.code, **scores_of(score)}
