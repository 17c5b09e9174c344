"""The section on the found cell's own network: trained alone, attacked, next to the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from supernet.benchmark.table import COLUMNS, DATASETS
from supernet.cells.genotype import Genotype
from supernet.report import figures
from supernet.report.figures.style import BLACK, BLUE, VERMILLION
from supernet.report.figures.training import DASHED, DOTTED, Panel
from supernet.report.markdown import code, plain, table
from supernet.report.run_files import Evaluated, RunFiles
from supernet.report.words import dataset_name, duration, percent, pixels

PANELS: tuple[Panel, ...] = (
    ("Training loss", "cross-entropy", 1.0, (("train_loss", "as trained", BLACK, "-"),)),
    (
        "Accuracy",
        "accuracy (%)",
        100.0,
        (
            ("train_robust_acc", "training, attacked", BLACK, DOTTED),
            ("train_clean_acc", "training, clean", BLACK, DOTTED),
            ("test_clean_acc", "test, clean", BLUE, "-"),
            ("test_robust_acc", "test, PGD-10", VERMILLION, DASHED),
        ),
    ),
)
BY_CLASS = "by class"
"""The heading of the mean of the classes' accuracies."""
ATTACK_NAMES = {
    "clean": "none (clean)",
    "fgsm": "FGSM",
    "pgd": "PGD",
    "autoattack": "AutoAttack",
    "worst_case": "worst case of these",
}


def section(run: RunFiles) -> list[str]:
    """For every evaluation.json: how the network was trained, its curves, its accuracies."""
    blocks: list[str] = []
    for number, evaluated in enumerate(run.evaluations, start=1):
        if len(run.evaluations) > 1:
            blocks.append(f"### {code(evaluated.path.parent.name)}")
        blocks += [
            _training_words(evaluated.content),
            *_curves(run, evaluated, number),
            _measured_words(evaluated.content),
            _results(run, evaluated.content),
            *_stages(evaluated.content),
        ]
    return ["## Stand-alone network", *blocks] if blocks else []


def _training_words(evaluation: dict[str, Any]) -> str:
    text = (
        f"Cell {evaluation['code']} as a network of its own (C={evaluation['C']}, "
        f"N={evaluation['N']}; the benchmark has C=16, N=5)"
    )
    training = evaluation.get("training")
    if not training:
        return text + "."
    data = training["data"]
    attack = "clean images" if training["attack"] == "none" else attack_words(training)
    averaged = evaluation.get("weights") == "average"
    average = "; the weights are a moving average" if averaged else ""
    return (
        f"{text}, trained for {training['epochs']} epochs on {data['train_images']:,} images of "
        f"{_name(data)} with {plain(attack)}, batch {training['batch_size']}, "
        f"seed {training['seed']}{average}. The benchmark: 50 epochs of PGD-7 on "
        "all training images, batch 256."
    )


def attack_words(training: dict[str, Any]) -> str:
    """The attack of a training: PGD-7, N-FGSM."""
    if training["attack"] != "pgd":
        return training["attack"].upper().replace("_", "-")
    return f"PGD-{training['attack_steps']}"


def _curves(run: RunFiles, evaluated: Evaluated, number: int) -> list[str]:
    if evaluated.path.parent == run.folder:
        return []
    records = evaluated.epochs
    shown = {metric for panel in PANELS for metric, *_ in panel[3]}
    if all(record.get(metric) is None for record in records for metric in shown):
        return []
    name = "standalone" if number == 1 else f"standalone-{number}"
    figures.training_curves(records, run.folder / "figures" / name, PANELS)
    return [f"![Training of the stand-alone network](figures/{name}.svg)"]


def _measured_words(evaluation: dict[str, Any]) -> str:
    return (
        f"Measured on {evaluation['images']:,} {plain(evaluation['split'])} images of "
        f"{_name({'name': evaluation['dataset'], 'stand_in': evaluation['stand_in']})}, "
        f"seed {evaluation['results'][0]['seed']}, {plain(evaluation['precision'])}, "
        f"{plain(evaluation['device'])} ({plain(evaluation['source'])}):"
    )


def _results(run: RunFiles, evaluation: dict[str, Any]) -> str:
    dataset, by_class = evaluation["dataset"], classes_differ(evaluation["results"])
    cell = Genotype.parse(evaluation["code"])
    entry = run.query(cell) if dataset in DATASETS and not evaluation["stand_in"] else None
    rows = []
    for result in evaluation["results"]:
        row = [
            plain(result_name(result)),
            pixels(result["eps"]) if result["eps"] else "-",
            percent(result["accuracy"]),
            "-" if result["attack"] == "worst_case" else duration(result["seconds"]),
        ]
        if by_class:
            row.insert(3, percent(result["balanced_accuracy"]))
        if entry is not None:
            known = result["name"] in COLUMNS
            row.append(percent(entry["results"][dataset][result["name"]] if known else None))
        rows.append(row)
    header = ["attack", "eps", "accuracy", *([BY_CLASS] if by_class else []), "time"]
    if entry is not None:
        header.append(f"benchmark, {dataset_name(dataset)}")
    return table(header, rows, align="ll" + "r" * (len(header) - 2))


def classes_differ(results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the mean accuracy of the classes tells more than the accuracy: where they differ, as
    they do with uneven classes."""
    return all("balanced_accuracy" in row for row in results) and any(
        abs(row["balanced_accuracy"] - row["accuracy"]) > 5e-5 for row in results
    )


def result_name(result: dict[str, Any]) -> str:
    """The attack of a row of evaluation.json: PGD-20, AutoAttack (standard)."""
    name = ATTACK_NAMES.get(result["attack"], result["attack"])
    if result["attack"] == "pgd":
        return f"{name}-{result['steps']}"
    if result["attack"] == "autoattack":
        return f"{name} ({result.get('version', 'of an unknown version')})"
    return name


def _stages(evaluation: dict[str, Any]) -> list[str]:
    rows = [
        [
            plain(stage["attack"]),
            f"{stage['attacked']:,}",
            f"{stage['broken']:,}",
            percent(stage["accuracy"]),
            duration(stage["seconds"]),
        ]
        for result in evaluation["results"]
        for stage in result.get("stages", ())
    ]
    if not rows:
        return []
    header = ["attack", "images", "broken", "accuracy after it", "time"]
    return [
        "AutoAttack ran its attacks one after the other, each on the images that were still right:",
        table(header, rows),
    ]


def _name(data: dict[str, Any]) -> str:
    name = plain(data["name"])
    return f"a stand-in for {name}" if data["stand_in"] else name
