"""What a search cost, in units of the adversarial training of one benchmark cell."""

from typing import Any

from ops.space import NUM_EDGES, NUM_OPS
from supernet.cells.cost import Cost
from supernet.cells.genotype import Genotype

BENCHMARK_EPOCHS, BENCHMARK_IMAGES, BENCHMARK_PASSES = 50, 50_000, 8
"""The benchmark's recipe: PGD-7 and the training step itself, over all training images."""
SHORT_BATCH, SHORT_PASSES = 64, {"none": 1, "pgd": 8}
"""Images of a step of a short training; passes by its attack, two where the attack is one step."""


def search_passes(config: dict[str, Any], follows: list[str]) -> tuple[float, float]:
    """(forward-and-backward passes per weight image, per alpha image) after the warm-up.

    A step of an attack is one pass, and so is each loss; `follows` are the losses that alpha
    lowers. Second-order DARTS adds, over the weight images, an attack, the virtual step, and two
    finite differences for each of these losses.
    """
    steps = int(config["attack_steps"]) if config["attack"] == "pgd" else 1
    attack = steps if config["robust"] else 0
    weights, terms = attack + 1.0, len(follows)
    alpha = float(terms + (attack if "robust" in follows else 0))
    if config["strategy"] == "darts2":
        weights += attack + 1 + 2 * terms
    return weights, alpha


def search_cost(description: dict[str, Any], follows: list[str]) -> float:
    """Multiply-adds of the forward passes of a search; each pass's backward counts with it.

    The mixed cell runs every operator on every edge: base + 6 * (1x1 + 3x3) of `Cost`; that of gdas
    one, as a path step does (`path_share`), counted as drawn evenly from those it may draw. A
    sandwich is two such steps and one of the mixture. Left out, as small next to the steps:
    measuring after each epoch, and gains.
    """
    config, data = description["config"], description["data"]
    base, conv1, conv3 = Cost.flops(
        data["num_classes"], data["image_size"], config["C"], config["N"]
    )
    all_edges = NUM_EDGES * (conv1 + conv3)
    mixture = base + all_edges / (NUM_OPS if config["strategy"] == "gdas" else 1)
    path = base + all_edges / (NUM_OPS if config["derive_none"] else NUM_OPS - 1)
    weights, alpha = search_passes(config, follows)
    single = path if config["path_kind"] == "alpha" else mixture + 2 * path
    share = config["path_share"]
    step = weights * ((1 - share) * mixture + share * single) + alpha * mixture
    # A preset's warm-up stays where no epoch is asked for.
    warm = min(config["warmup_epochs"], config["epochs"])
    searching = config["epochs"] - warm
    images = description["steps_per_epoch"] * config["batch_size"]
    return float(images * (warm * mixture + searching * step))


def refinement_cost(description: dict[str, Any], refinement: dict[str, Any]) -> float:
    """Multiply-adds of the forward passes of the short trainings of a refine.json, as above.

    Left out: measuring. A training counts once however often it was asked for.
    """
    config, data = description["config"], description["data"]
    trainings = {
        (judged["number"], cell)
        for sweep in refinement["sweeps"]
        for judged in sweep["rounds"]
        for cell in judged["cells"]
    }
    passes = SHORT_PASSES.get(config["refine_attack"], 2)
    flops = (
        config["refine_steps"][number]
        * Genotype.parse(cell).flops(data["num_classes"], data["image_size"])
        for number, cell in trainings
    )
    return float(SHORT_BATCH * passes * sum(flops))


def cells_at_equal_cost(
    description: dict[str, Any], follows: list[str], refinement: dict[str, Any] | None = None
) -> float:
    """How many random cells the benchmark's recipe could train for what the search cost.

    refinement: the content of its refine.json, None without one.
    A random string has each operator on a fifth of its six edges: base + 6/5 * (1x1 + 3x3).
    """
    base, conv1, conv3 = Cost.flops()
    mean_flops = base + NUM_EDGES / NUM_OPS * (conv1 + conv3)
    cost = search_cost(description, follows)
    if refinement is not None:
        cost += refinement_cost(description, refinement)
    return cost / (BENCHMARK_EPOCHS * BENCHMARK_IMAGES * BENCHMARK_PASSES * mean_flops)
