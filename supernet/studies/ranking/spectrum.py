"""The spectra of single cells' kernels: a figure and its numbers."""

from collections.abc import Sequence
from pathlib import Path

import torch

from supernet.cells.order import find_index_order, resolve
from supernet.data import load_dataset
from supernet.files import data_root, write_json
from supernet.proxies.ntk import ntk_kernels
from supernet.proxies.ntk_scores import kernel_scores, spectrum
from supernet.runs.machine import describe, resolve_device
from supernet.studies.ranking.config import RankConfig, located
from supernet.studies.ranking.figures import draw_spectra
from supernet.studies.ranking.scorers import (
    POOL,
    balanced_batch,
    cell_seeds,
    initialised,
    ntk_settings,
)


def run_spectra(config: RankConfig, cells: Sequence[str]) -> str:
    """Draw the spectra of K, K~ and K~2 for each cell; returns where figure and numbers lie.

    Images, initialisation and attack are those that the ranking with this config scores on.
    Raises: UserError for a cell that does not exist.
    """
    config = located(config)
    order = find_index_order(data_root(config.data_root), verify=config.verify)
    genotypes = [resolve(cell, order) for cell in cells]
    device = resolve_device(config.device)
    data = load_dataset(
        config.dataset, data_root=config.data_root, limit=POOL, test_limit=0, device=device
    )
    images, labels = balanced_batch(data, config.batch, config.seed)
    eps = data.eps if config.eps is None else config.eps
    spectra, numbers = {}, {}
    for genotype in genotypes:
        seed = cell_seeds(config, genotype)[0]
        network = initialised(genotype, config, data, seed).to(device)
        generator = torch.Generator(device).manual_seed(seed)
        kernels = ntk_kernels(
            network, images, labels, generator, attack=config.attack_name, eps=eps,
            **ntk_settings(config),
        )  # fmt: skip
        parts = {"clean": kernels.clean, "robust": kernels.robust, "twice": kernels.twice}
        spectra[genotype.code] = {name: spectrum(kernel) for name, kernel in parts.items()}
        numbers[genotype.code] = {
            "arch": genotype.arch,
            "scores": kernel_scores(kernels, config.beta),
            "eigenvalues": {n: v.tolist() for n, v in spectra[genotype.code].items()},
        }
    stem = Path(config.folder) / "spectrum"
    draw_spectra(spectra, stem)
    write_json(
        stem.with_suffix(".json"),
        {"config": config.fixed(), "machine": describe(device), "images": data.source,
         "cells": numbers},
    )  # fmt: skip
    return f"spectra: {stem}.svg, {stem}.png, {stem}.json"
