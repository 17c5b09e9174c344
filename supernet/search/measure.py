"""Looking at a search without touching it: accuracies of the mixture, warnings, derived cells."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from supernet.attacks.accuracy import evaluate
from supernet.nets.folded import FoldedNetwork
from supernet.search.derive import Derivation, derive
from supernet.search.gains import operator_gains
from supernet.search.search import Search
from supernet.search.strategies.regularisers import collapse_warning, entropy, skip_share
from supernet.studies.ranking.predictor import Predictor

STALE_ATTACK = 0.5
"""Catastrophic overfitting: PGD accuracy below this share of that under the training attack."""


@torch.no_grad()
def measure(search: Search) -> dict[str, Any]:
    """Accuracy of the mixture on fixed images of the alpha half, and the state of alpha.

    `val_robust_acc` is under the PGD probe, `val_train_attack_acc` under the weights' attack; a
    clean search has neither. Draws nothing from the search's own random numbers.
    """
    config, w_EO = search.config, search.strategy.expected_weights()
    x, y = search.held_out(config.probe_images)
    model = _mixture(search, w_EO)
    attack = search.probe_attack if config.robust else None
    found = evaluate(model, x, y, attack, config.seed)
    record: dict[str, Any] = {
        "val_clean_acc": found.clean,
        "edge_weights": w_EO.cpu().tolist(),
        "entropy": entropy(w_EO),
        "skip_share": skip_share(w_EO),
    }
    if config.robust:
        record["val_robust_acc"] = found.robust
        record["val_train_attack_acc"] = evaluate(
            model, x, y, search.weight_attack, config.seed
        ).robust
    return record


def warnings(search: Search, record: dict[str, Any]) -> list[str]:
    """Sentences on what is going wrong, by the record of an epoch; none during the warm-up."""
    if record["epoch"] <= search.config.warmup_epochs:
        return []
    found = []
    collapse = collapse_warning(search.strategy.expected_weights())
    if collapse:
        found.append(collapse)
    if search.config.robust and overfits_catastrophically(
        record["val_train_attack_acc"], record["val_robust_acc"], 1 / search.data.num_classes
    ):
        found.append(
            f"catastrophic overfitting: {record['val_train_attack_acc']:.1%} under "
            f"{search.config.weight_attack}, {record['val_robust_acc']:.1%} under PGD; "
            "train with --weight-attack n_fgsm or pgd"
        )
    return found


def overfits_catastrophically(train_attack_acc: float, pgd_acc: float, chance: float) -> bool:
    """Whether the network resists the attack it is trained with and falls to PGD.

    True when accuracy under the training attack is above twice chance and accuracy under PGD is
    below half of it. Source: Wong et al. 2020, arXiv:2001.03994, who stop training at this sign.
    """
    return train_attack_acc > 2 * chance and pgd_acc < STALE_ATTACK * train_attack_acc


def derive_cells(search: Search, progress: Callable[..., Any] = iter) -> Derivation:
    """Read cells from alpha and, where the config asks for it, from gains and from scores.

    Cells of a robust search are chosen by their robustness too, also where alpha follows the clean
    loss alone.
    """
    config = search.config
    weight = {"robust": 1.0, "epsilon": 1.0}.get(config.objective_name, config.robust_weight)
    return derive(
        search.strategy.expected_weights(),
        allow_none=config.derive_none,
        by=config.derive_by,
        gains=None if config.derive_by == "alpha" else operator_gains(search),
        candidates=config.derive_candidates,
        score=cell_predictor(search).score if config.derive_score else None,
        robust_weight=weight if config.robust else 0.0,
        progress=progress,
        fits=search.restriction,
    )


def cell_predictor(search: Search) -> Predictor:
    """Scores cells on held-out images, under the probe attack where the search is robust."""
    x, y = search.held_out(search.config.derive_images)
    attack = search.probe_attack if search.config.robust else None
    return Predictor(search.net, x, y, search.calibration(), attack, search.config.seed)


def _mixture(search: Search, w_EO: Tensor) -> FoldedNetwork:
    """The folded mixture with the configured batch norm statistics."""
    statistics = search.config.bn_statistics
    x = search.calibration() if statistics == "batch" else None
    return search.net.fold(w_EO, statistics=statistics, x=x)
