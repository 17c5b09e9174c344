"""The sections that show how the search went: edge weights, learning curves, derivation."""

from typing import Any

from ops.space import EDGES, NONE, NUM_EDGES, OP_NAMES
from supernet.cells.genotype import Genotype
from supernet.report import figures
from supernet.report.markdown import plain, table
from supernet.report.run_files import RunFiles, answers
from supernet.report.words import WHOLE, column_name, dataset_name, percent, pixels


def edge_weights(run: RunFiles) -> list[str]:
    """Final edge weights and their way there, with entropy, skip share and warnings."""
    if not run.config["epochs"]:
        return []  # an untrained supernet's weights are those it was drawn with
    history = [record["edge_weights"] for record in run.epochs]
    stem = run.folder / "figures"
    none = run.config["derive_none"]
    figures.heatmap(run.record["edge_weights"], run.cell.ops, stem / "edge_weights", none=none)
    blocks = [
        "## Edge weights",
        "![Edge weights at the end](figures/edge_weights.svg)",
        f"Frames mark the chosen cell, which comes from {run.guide}. {_left_out(run)}",
    ]
    if not history:
        return blocks
    figures.alpha_curves(
        history, stem / "edge_weights_over_time", [record["epoch"] for record in run.epochs]
    )
    last = run.epochs[-1]
    blocks += [
        "![Edge weights over the epochs](figures/edge_weights_over_time.svg)",
        f"At the end their entropy is {last['entropy']:.3f} (1 is uniform, 0 decided) and "
        f"{round(6 * last['skip_share'])} of 6 edges are led by the skip. {_warnings(run)}",
    ]
    return blocks


def _left_out(run: RunFiles) -> str:
    """What the picture shows and the cell cannot have."""
    if run.config["derive_none"]:
        return "The cell may hold none."
    leads = sum(max(row) == row[NONE] for row in run.record["edge_weights"])
    text = "The operator none is part of the mixture and left out when a cell is read"
    if not leads:
        return f"{text}; it leads on no edge."
    return f"{text}; here it leads on {leads} of {NUM_EDGES} edges, which take another operator."


def learning_curves(run: RunFiles) -> list[str]:
    """Losses and accuracies of the mixture over the epochs, and the last numbers."""
    if not run.epochs:
        return []
    figures.training_curves(run.epochs, run.folder / "figures" / "learning_curves")
    last, config = run.epochs[-1], run.config
    images = min(config["probe_images"], run.description["data"]["alpha_images"])
    rows = [["clean", "none", percent(last.get("val_clean_acc"), 1)]]
    if run.robust:
        eps = pixels(run.description["eps"])
        trained = plain(config["attack"])
        trained_attack = f"{trained}, eps {eps} (as in training)"
        rows += [
            ["as trained", trained_attack, percent(last.get("val_train_attack_acc"), 1)],
            [
                "robust",
                f"PGD-10, eps {eps}",
                percent(last.get("val_robust_acc"), 1),
            ],
        ]
    return [
        "## Learning curves",
        "![Losses and accuracies over the epochs](figures/learning_curves.svg)",
        f"The supernet's mixture after epoch {last['epoch']}, on {images:,} images of the alpha "
        f"half ({plain(run.data_words)}, training images that no weight step saw; "
        f"seed {config['seed']}; "
        f"chance is {percent(1 / run.description['data']['num_classes'], 1)}):",
        table(["accuracy", "attack", "value"], rows, align="llr"),
    ]


def derivation(run: RunFiles) -> list[str]:
    """The answers by gains and by alpha side by side, and the gains."""
    chosen = run.record["derivation"]["chosen_by"]
    dataset, column = run.judge
    rows = [
        [
            ("" if by in WHOLE else "strongest operator of each edge ")
            + f"by {words}"
            + (" **(chosen)**" if by == chosen else ""),
            f"`{cell['code']}`",
            *_benchmark(run, Genotype.parse(cell["code"])),
        ]
        for by, (words, cell) in answers(run.record).items()
    ]
    header = ["answer", "code", f"benchmark: {dataset_name(dataset)} {column_name(column)}", "rank"]
    gains = _gains(run.record["derivation"]) if run.config["epochs"] else []
    return ["## Derivation", table(header, rows, align="llrr"), *gains]


def _gains(record: dict[str, Any]) -> list[str]:
    rows = [
        [f"{source} to {target}", *[f"{1000 * g:+.0f} ({1000 * i:+.0f})" for g, i in pairs]]
        for (target, source), *both in zip(
            EDGES, record["gains"], record["inner_gains"], strict=True
        )
        for pairs in (zip(*both, strict=True),)
    ]
    return [
        "Gains: how fast the clean loss on held-out images falls as an operator gains weight "
        "in the even mixture of the trained network, against the mean of the edge, in thousandths; "
        "in brackets without the network's last cell, which only global pooling follows.",
        table(["edge", *OP_NAMES], rows, align="l" + "r" * len(OP_NAMES)),
    ]


def _warnings(run: RunFiles) -> str:
    seen: dict[str, list[int]] = {}
    for record in run.epochs:
        for text in record.get("warnings", []):
            seen.setdefault(text.split(":")[0], []).append(record["epoch"])
    if not seen:
        return "No epoch gave a warning of collapse or of catastrophic overfitting."
    return (
        "Warnings: "
        + "; ".join(
            f"{plain(text)} (epoch{'s' if len(epochs) > 1 else ''} {', '.join(map(str, epochs))})"
            for text, epochs in seen.items()
        )
        + "."
    )


def _benchmark(run: RunFiles, cell: Genotype) -> list[str]:
    entry = run.query(cell)
    dataset, column = run.judge
    return [percent(entry["results"][dataset][column]), f"{entry['ranks'][dataset][column]:,}"]
