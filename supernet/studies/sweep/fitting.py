"""Fits the recipes of a sweep to one's own pictures, as the training of one cell is fitted."""

import dataclasses
from typing import Any

import torch

from supernet.runs.fitted import Lines, fit_training
from supernet.studies.sweep.config import SweepConfig, read_recipe
from supernet.train.config import TrainConfig

Recipes = dict[str, dict[str, Any]]
"""Name -> fields of `TrainConfig`."""
FITTED = ("batch_size", "epochs")


def fit_recipes(config: SweepConfig) -> tuple[SweepConfig, Recipes, Lines]:
    """The sweep with the side of its pictures, its recipes with their batch sizes and epochs, and a
    line about each choice. Flags win, and other data sets leave everything as it is.

    Raises: UserError where the folder or the pack is not one.
    """
    gpus = config.gpus_per_task
    on_gpu = torch.cuda.is_available() if gpus is None else gpus > 0
    recipes: Recipes = {}
    lines: Lines = []
    side = config.side
    for text in config.recipes:
        name, fields, given = read_recipe(text)
        images: dict[str, Any] = {"dataset": config.dataset, "side": config.side, "val": config.val}
        training = TrainConfig(**fields, **images, genotype="000000")
        training, said = fit_training(training, given, on_gpu=on_gpu)
        recipes[name] = {**fields, **{key: getattr(training, key) for key in FITTED}}
        side = training.side
        if said and len(config.recipes) > 1:
            lines.append(f"recipe     {name}")
        lines += [line for line in said if line not in lines]
    return dataclasses.replace(config, side=side), recipes, lines
