"""The sections that show how the search went: edge weights, learning curves, derivation."""

from typing import Any

from ops.space import EDGES, OP_NAMES
from supernet.cells.genotype import Genotype
from supernet.report import figures
from supernet.report.markdown import table
from supernet.report.run_files import RunFiles, argmax_cells, scored_words
from supernet.report.words import column_name, dataset_name, percent, pixels, score

SHOWN_SCORES = 10


def edge_weights(run: RunFiles) -> list[str]:
    """Final edge weights and their way there, with entropy, skip share and warnings."""
    history = [record["edge_weights"] for record in run.epochs]
    stem = run.folder / "figures"
    figures.heatmap(run.record["edge_weights"], stem / "edge_weights")
    blocks = ["## Edge weights", "![Edge weights at the end](figures/edge_weights.svg)"]
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


def learning_curves(run: RunFiles) -> list[str]:
    """Losses and accuracies of the mixture over the epochs, and the last numbers."""
    if not run.epochs:
        return []
    figures.training_curves(run.epochs, run.folder / "figures" / "learning_curves")
    last, config = run.epochs[-1], run.config
    images = min(config["probe_images"], run.description["data"]["alpha_images"])
    rows = [["clean", "none", percent(last["val_clean_acc"], 1)]]
    if run.robust:
        eps = pixels(run.description["eps"])
        trained = config["weight_attack"]
        trained_attack = f"{trained}, eps {eps} (as in training)"
        rows += [
            ["as trained", trained_attack, percent(last["val_train_attack_acc"], 1)],
            [
                "robust",
                f"PGD-{config['probe_steps']}, eps {eps}",
                percent(last["val_robust_acc"], 1),
            ],
        ]
    return [
        "## Learning curves",
        "![Losses and accuracies over the epochs](figures/learning_curves.svg)",
        f"The supernet's mixture after epoch {last['epoch']}, on {images:,} images of the alpha "
        f"half ({run.data_words}, training images that no weight step saw; seed {config['seed']}; "
        f"chance is {percent(1 / run.description['data']['num_classes'], 1)}):",
        table(["accuracy", "attack", "value"], rows, align="llr"),
    ]


def derivation(run: RunFiles) -> list[str]:
    """The answers by alpha, gains and score side by side, the gains, and the best-scored cells."""
    record = run.record["derivation"]
    by_code = {score["code"]: score for score in record["scores"]}
    answers = {
        by: (f"strongest operator of each edge by {words}", cell["code"])
        for by, (words, cell) in argmax_cells(run.record).items()
    }
    if record["scores"]:
        answers["score"] = (
            f"best of {scored_words(run.record)} by score",
            record["scores"][0]["code"],
        )
    rows = [
        [
            name
            + (" **(chosen)**" if way == record["chosen_by"].replace("argmax", "alpha") else ""),
            f"`{code}`",
            *_score(by_code.get(code), run.robust),
            *_benchmark(run, Genotype.parse(code)),
        ]
        for way, (name, code) in answers.items()
    ]
    blocks = ["## Derivation", table(["answer", *_header(run)], rows, align=_align(run))]
    blocks += _gains(record)
    if not record["scores"]:
        return [*blocks, "Cells were not scored (`--derive-score` does it)."]
    attack = f" and under {record['attack'].upper()}" if record["attack"] else ""
    blocks.append(
        "Scores are the mean cross-entropy in nats, by which cells are ordered, and the accuracy "
        f"with inherited weights, clean{attack}, on {record['images']:,} images of the alpha half. "
        "They rank cells; a cell trained alone reaches other numbers. "
        "An answer without a score was none of the scored cells."
    )
    best = [
        [str(place), f"`{s['code']}`", *_score(s, run.robust), *_benchmark(run, cell)]
        for place, s in enumerate(record["scores"][:SHOWN_SCORES], start=1)
        for cell in (Genotype.parse(s["code"]),)
    ]
    return [
        *blocks,
        f"<details><summary>The {len(best)} best-scored cells</summary>",
        table(["place", *_header(run)], best, align=_align(run)),
        "</details>",
    ]


def _gains(record: dict[str, Any]) -> list[str]:
    if not record.get("gains"):
        return []
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
        "in brackets without the network's last cell, which little but global pooling follows.",
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
            f"{text} (epoch{'s' if len(epochs) > 1 else ''} {', '.join(map(str, epochs))})"
            for text, epochs in seen.items()
        )
        + "."
    )


def _header(run: RunFiles) -> list[str]:
    dataset, column = run.judge
    return [
        "code",
        "score, clean",
        *(["score, robust"] if run.robust else []),
        f"benchmark: {dataset_name(dataset)} {column_name(column)}",
        "rank",
    ]


def _align(run: RunFiles) -> str:
    return "ll" + "r" * (len(_header(run)) - 1)


def _score(record: dict[str, Any] | None, robust: bool) -> list[str]:
    names = ("clean", "robust") if robust else ("clean",)
    return [score(record, name) for name in names]


def _benchmark(run: RunFiles, cell: Genotype) -> list[str]:
    entry = run.query(cell)
    dataset, column = run.judge
    return [percent(entry["results"][dataset][column]), f"{entry['ranks'][dataset][column]:,}"]
