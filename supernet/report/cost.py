"""What a search cost, in units of the adversarial training of one benchmark cell."""

from typing import Any

from ops.space import NUM_EDGES, NUM_OPS
from supernet.cells.cost import Cost
from supernet.search.config import FRONT_OBJECTIVES

BENCHMARK_EPOCHS, BENCHMARK_IMAGES, BENCHMARK_PASSES = 50, 50_000, 8
"""The benchmark's recipe: PGD-7 and the training step itself, over all training images."""


def search_passes(config: dict[str, Any], objective: str) -> tuple[float, float]:
    """(forward-and-backward passes per weight image, per alpha image) after the warm-up.

    A step of an attack is one pass, and so is each loss. Second-order DARTS adds, over the weight
    images, an attack, the virtual step, and two finite differences for each term of the objective.
    """

    def steps(attack: str) -> int:
        return int(config["attack_steps"]) if attack == "pgd" else 1

    losses = 2.0 if config["robust"] and 0 < config["clean_share"] < 1 else 1.0
    attack = steps(config["weight_attack"]) if config["robust"] else 0
    weights = attack + losses
    alpha_attack = steps(config["alpha_attack"] or config["weight_attack"])
    terms = 1 if objective in ("clean", "robust", "epsilon") else 2
    alpha = float(terms if objective == "clean" else alpha_attack + terms)
    if config["strategy"] == "darts2":
        weights += attack + losses * (1 + 2 * terms)
    return weights, alpha


def search_cost(description: dict[str, Any]) -> float:
    """Multiply-adds of the forward passes of a search; each pass's backward counts with it.

    The mixed cell runs every operator on every edge: base + 6 * (1x1 + 3x3) of `Cost`. A path step
    (`path_share`) runs one operator per edge, counted as drawn evenly from those it may draw;
    a sandwich is two such steps and one of the mixture; distillation adds a pass to each such step,
    and a forward pass of the mixture, a third of a pass.
    A pareto search also scores `front_queries` such cells, clean and with each step of the probe
    attack. Left out, as small beside the steps: measuring after each epoch, scoring derived cells.
    """
    config, data = description["config"], description["data"]
    base, conv1, conv3 = Cost.flops(
        data["num_classes"], data["image_size"], config["C"], config["N"]
    )
    mixture = base + NUM_EDGES * (conv1 + conv3)
    drawn = NUM_OPS if config["derive_none"] else NUM_OPS - 1
    path = base + NUM_EDGES / drawn * (conv1 + conv3)
    share = config["path_share"]
    weights, alpha = search_passes(config, description["objective"])
    warm, searching = config["warmup_epochs"], config["epochs"] - config["warmup_epochs"]
    single = weights * path
    if config.get("distill"):
        single += path + mixture / 3  # the teacher has no backward pass, two thirds of a pass
    if config.get("path_kind") == "sandwich":
        single = weights * mixture + 2 * single
    step = (1 - share) * weights * mixture + share * single + alpha * mixture
    images = description["steps_per_epoch"] * config["batch_size"]
    return float(images * (warm * mixture + searching * step) + _front_cost(description, path))


def _front_cost(description: dict[str, Any], cell: float) -> float:
    if description["objective"] not in FRONT_OBJECTIVES:
        return 0.0
    config = description["config"]
    images = min(config["derive_images"], description["data"]["alpha_images"])
    return config["front_queries"] * images * (config["probe_steps"] + 1) * cell


def cells_at_equal_cost(description: dict[str, Any]) -> float:
    """How many random cells the benchmark's recipe could train for what the search cost.

    A random string has each operator on a fifth of its six edges: base + 6/5 * (1x1 + 3x3).
    """
    base, conv1, conv3 = Cost.flops()
    mean_flops = base + NUM_EDGES / NUM_OPS * (conv1 + conv3)
    return search_cost(description) / (
        BENCHMARK_EPOCHS * BENCHMARK_IMAGES * BENCHMARK_PASSES * mean_flops
    )
