"""Scores of one cell: training-free ones at a seeded initialisation, or by a trained supernet."""

import dataclasses
import functools
import math
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ops.mixed import resolve_impl
from supernet.attacks import ATTACKS
from supernet.attacks.accuracy import Evaluation
from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset, to_float
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.precision import exact
from supernet.proxies.az_nas import AZ_NAMES, az_nas
from supernet.proxies.croze import croze
from supernet.proxies.ntk import ntk_kernels
from supernet.proxies.ntk_scores import kernel_scores
from supernet.proxies.registry import NTK_NAMES, PROXIES
from supernet.proxies.robust import attacked
from supernet.runs.checkpoint import kept_epoch, load_checkpoint
from supernet.runs.folder import CHECKPOINT
from supernet.runs.machine import resolve_device
from supernet.runs.state import load_state
from supernet.search.gains import gain_of, operator_gains
from supernet.search.halves import GAIN_IMAGES
from supernet.search.search import Search, load_images
from supernet.studies.ranking.config import SUPERNET_GAINS, RankConfig, search_config
from supernet.studies.ranking.predictor import Predictor

ROBUST = "robust_"
POOL = 1000
"""Training images that are read; the batch is drawn from them."""

Scorer = Callable[[Genotype], dict[str, float]]


def check_names(names: tuple[str, ...]) -> None:
    """Raises: UserError for a score that does not exist, listing those that do."""
    for name in names:
        if name != "ntk" and name not in PROXIES:
            raise UserError(
                f"unknown score {name!r}; choose from {', '.join(PROXIES)} and ntk (all kernels)"
            )


def make_scorer(config: RankConfig) -> tuple[Scorer, str]:
    """The function that scores one cell, and a sentence that says by what and on which images.

    It holds the images and, with `supernet`, its weights; a call builds one network and drops it.
    """
    device = resolve_device(config.device)
    parts: list[Scorer] = []
    sources: list[str] = []
    if config.supernet is not None:
        search = load_search(Path(config.supernet), config, device)
        parts.append(_supernet_scorer(search, config))
        held_out = len(search.images.alpha_half)
        count, more = min(config.images, held_out), min(GAIN_IMAGES, held_out)
        sources.append(
            f"supernet scores on {count} held-out training images, gains on {more}: "
            f"{search.data.source}"
        )
    if config.proxy_names:
        data = load_dataset(
            config.dataset, data_root=config.data_root, limit=POOL, test_limit=0, device=device
        )
        images, labels = balanced_batch(data, config.batch, config.seed)
        parts.append(_proxy_scorer(config, data, images, labels))
        sources.append(f"training-free scores on {len(labels)} training images: {data.source}")
    if not parts:
        raise UserError("nothing to score: name --proxies or a --supernet run")

    @exact()
    def score(genotype: Genotype) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in parts:
            found |= part(genotype)
        bad = [name for name, value in found.items() if not math.isfinite(value)]
        if bad:
            raise UserError(
                f"{', '.join(bad)} of cell {genotype.code} came out as not finite; leave them out"
                " of --proxies, or rank with another --seed, --batch or --eps"
            )
        return found

    return score, "; ".join(sources)


def balanced_batch(data: ImageData, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` training images, classes as even as can be and in turn; images in [0, 1].

    Raises: UserError when there are fewer.
    """
    if count > len(data.train_y):
        raise UserError(
            f"--batch {count}: only {len(data.train_y)} training images were read; lower it"
        )
    order = np.random.default_rng([seed, 2]).permutation(len(data.train_y))
    labels = data.train_y.cpu().numpy()[order]
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        turn[labels == label] = np.arange((labels == label).sum())
    chosen = torch.from_numpy(order[np.argsort(turn, kind="stable")[:count]])
    chosen = chosen.to(data.train_x.device)
    return to_float(data.train_x[chosen]), data.train_y[chosen]


def load_search(folder: Path, config: RankConfig, device: torch.device) -> Search:
    """The finished or interrupted search in a run directory, on its own images; with `epoch` its
    network as it was then, and nothing else.

    Raises: UserError when the folder is not a run directory or its files cannot be read.
    """
    settings = search_config(folder)
    saved = load_supernet(config)
    if config.data_root:
        settings = dataclasses.replace(settings, data_root=config.data_root)
    impl = settings.impl
    try:
        resolve_impl(impl, device.type)
    except RuntimeError as error:
        impl = "auto"
        if multiprocessing.parent_process() is None:  # workers need not say it again
            print(
                f"warning: {folder} searched with --impl {settings.impl}, which cannot run here "
                f"({error}): scores are rounded as without it",
                file=sys.stderr,
            )
    search = Search(settings, load_images(settings, device), device, impl)
    if config.epoch is None:
        load_state(search, saved, folder, goes_on=False)
    else:
        _load_kept(search, saved, supernet_file(config))
    return search


def _load_kept(search: Search, saved: dict[str, Any], path: Path) -> None:
    try:
        search.net.load_state_dict(saved["net"])
        search.step = int(saved["step"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"{path} does not hold the weights of its search ({reason}); put the run's own file in "
            "its place"
        ) from error


def supernet_file(config: RankConfig) -> Path:
    """The file with the supernet's weights.

    Raises: UserError when the search did not keep the epoch.
    """
    folder = Path(config.supernet or "")
    if config.epoch is None:
        return folder / CHECKPOINT
    path = kept_epoch(folder, config.epoch)
    if not path.is_file():
        kept = ", ".join(str(int(p.stem[6:])) for p in sorted(folder.glob("epoch-*.pt"))) or "none"
        raise UserError(
            f"{folder} kept no epoch {config.epoch} (it has {kept}); search with --keep-epochs"
        )
    return path


def supernet_steps(config: RankConfig) -> int:
    """Optimiser steps that the supernet's weights have behind them."""
    step = load_supernet(config).get("step")
    if not isinstance(step, int):
        raise UserError(f"{supernet_file(config)} does not say its step; restore a copy of it")
    return step


def load_supernet(config: RankConfig) -> dict[str, Any]:
    """The state of the search, or what it kept of an epoch: both have `step` and `net`."""
    path = supernet_file(config)
    config_hash = search_config(path.parent).hash()
    if config.epoch is None:
        state = load_checkpoint(path, "search", config_hash).get("state")
        if not isinstance(state, dict):
            raise UserError(f"{path} has no state of a search; put the run's own file in its place")
        return state
    return load_checkpoint(path, "kept epoch", config_hash)


def _supernet_scorer(search: Search, config: RankConfig) -> Scorer:
    attack = functools.partial(
        ATTACKS[config.attack_name],
        eps=search.eps if config.eps is None else config.eps,
        steps=config.steps if config.attack_name == "pgd" else 1,
        trusted=True,
    )
    x, y = search.images.held_out(config.images)
    predictor = Predictor(search.net, x, y, search.images.calibration(), attack, config.seed)

    @functools.cache
    def gains() -> dict[str, Tensor]:
        # One pass over thousands of images, for any number of cells: at the first one.
        both = operator_gains(search.net, search.images.for_gains(search.config.seed))
        return dict(zip(SUPERNET_GAINS, both, strict=True))

    def score(genotype: Genotype) -> dict[str, float]:
        found = {f"supernet_{n}": v for n, v in predictor.score(genotype)._asdict().items()}
        return found | {name: gain_of(genotype, g_EO) for name, g_EO in gains().items()}

    return score


def _proxy_scorer(config: RankConfig, data: ImageData, images: Tensor, labels: Tensor) -> Scorer:
    eps = data.eps if config.eps is None else config.eps
    wants_attack = any(name.startswith(ROBUST) for name in config.proxy_names)
    wants_az = any(name in AZ_NAMES for name in config.proxy_names)

    def once(genotype: Genotype, seed: int) -> dict[str, float]:
        network = initialised(genotype, config, data, seed).to(images.device)
        generator = torch.Generator(images.device).manual_seed(seed)
        found: dict[str, float] = {}
        # All robust scores of a cell share one attack.
        x_adv = images
        if wants_attack:
            x_adv = attacked(network, images, labels, generator, attack=config.attack_name, eps=eps)
        # And all parts of AZ-NAS one pass, with signs that nothing else shifts.
        az: dict[str, float] = {}
        if wants_az:
            az = az_nas(network, images, labels, torch.Generator(images.device).manual_seed(seed))
        for name in config.proxy_names:
            if name == "ntk":
                kernels = ntk_kernels(
                    network, images, labels, generator, attack=config.attack_name, eps=eps,
                    **ntk_settings(config),
                )  # fmt: skip
                found |= kernel_scores(kernels, config.beta)
            elif name in AZ_NAMES:
                found[name] = az[name]
            elif name == "croze":
                found[name] = croze(network, images, labels, generator, eps=eps)
            elif name.startswith(ROBUST):
                proxy = PROXIES[name.removeprefix(ROBUST)]
                found[name] = proxy(network, x_adv, labels, generator)
            else:
                found[name] = PROXIES[name](network, images, labels, generator)
        return found

    def score(genotype: Genotype) -> dict[str, float]:
        seeds = cell_seeds(config, genotype)
        runs = [once(genotype, seed) for seed in seeds]
        return {name: sum(run[name] for run in runs) / len(runs) for name in runs[0]}

    return score


def ntk_settings(config: RankConfig) -> dict[str, Any]:
    """Keyword arguments of `ntk_kernels`."""
    return {
        "outputs": config.ntk_outputs,
        "sketches": config.ntk_sketches,
        "memory_limit": config.ntk_memory << 20,
    }


def cell_seeds(config: RankConfig, genotype: Genotype) -> list[int]:
    """One seed per initialisation, of this cell alone: nothing scored before it shifts them."""
    parts = [config.seed, 3, int(genotype.code)]
    states = np.random.SeedSequence(parts).generate_state(config.repeats, np.uint32)
    return [int(state) for state in states]


def initialised(
    genotype: Genotype, config: RankConfig, data: ImageData, seed: int
) -> DerivedNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DerivedNetwork(
            genotype, C=config.C, N=config.N, num_classes=data.num_classes, mean=data.mean,
            std=data.std,
        ).use_layout(torch.channels_last)  # fmt: skip


def score_names(config: RankConfig) -> list[str]:
    """The names that a cell's scores will have, in their order."""
    names = (
        [*(f"supernet_{name}" for name in Evaluation._fields), *SUPERNET_GAINS]
        if config.supernet
        else []
    )
    for name in config.proxy_names:
        names += NTK_NAMES if name == "ntk" else (name,)
    return names
