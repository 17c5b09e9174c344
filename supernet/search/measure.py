"""Measures a search after each epoch. It changes nothing and draws no random numbers."""

from typing import Any

import torch
from torch import Tensor

from supernet.attacks.accuracy import Attack, evaluate
from supernet.nets.supernet import Supernet
from supernet.search.strategies.regularisers import (
    collapse_warning,
    entropy,
    none_warning,
    skip_share,
)

STALE_ATTACK = 0.5
"""Catastrophic overfitting: PGD accuracy below this share of that under the training attack."""


@torch.no_grad()
def measure(
    net: Supernet,
    w_EO: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    probe: Attack | None,
    attack: Attack | None,
    seed: int,
) -> dict[str, Any]:
    """Accuracy of the mixture on held-out images, and the state of its edge weights (6, 5).

    `val_robust_acc` is under the PGD probe, `val_train_attack_acc` under the weights' attack; both
    are left out where there is no probe. Batch norm is frozen at its running statistics.
    Shapes: x (n, 3, H, W) float in [0, 1], y (n,).
    """
    model = net.fold_mixture(w_EO)
    found = evaluate(model, x, y, probe, seed)
    record: dict[str, Any] = {
        "val_clean_acc": found.clean,
        "edge_weights": w_EO.cpu().tolist(),
        "entropy": entropy(w_EO),
        "skip_share": skip_share(w_EO),
    }
    if probe is not None:
        record["val_robust_acc"] = found.robust
        record["val_train_attack_acc"] = evaluate(model, x, y, attack, seed).robust
    return record


def warnings(record: dict[str, Any], *, attack: str, num_classes: int, none: bool) -> list[str]:
    """Sentences on dangers that the record of an epoch after the warm-up shows.

    attack is the name of the weights' attack; none says whether a cell may hold that operator.
    """
    w_EO = torch.tensor(record["edge_weights"])
    found = [collapse_warning(w_EO), None if none else none_warning(w_EO)]
    if "val_robust_acc" in record:
        trained, robust = record["val_train_attack_acc"], record["val_robust_acc"]
        if overfits_catastrophically(trained, robust, 1 / num_classes):
            found.append(
                f"catastrophic overfitting: {trained:.1%} under {attack}, {robust:.1%} under PGD; "
                + ("raise --attack-steps" if attack == "pgd" else "train with --attack pgd")
            )
    return [sentence for sentence in found if sentence]


def overfits_catastrophically(train_attack_acc: float, pgd_acc: float, chance: float) -> bool:
    """Whether the network resists the attack it is trained with and falls to PGD.

    True when accuracy under the training attack is above twice chance and accuracy under PGD is
    below half of it. Source: Wong et al. 2020, arXiv:2001.03994, who stop training at this sign.
    """
    return train_attack_acc > 2 * chance and pgd_acc < STALE_ATTACK * train_attack_acc
