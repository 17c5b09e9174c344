"""The model card: README.md as the Hugging Face hub reads it, YAML first, then Markdown."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from supernet.cells.genotype import Genotype
from supernet.files import at_home
from supernet.report.markdown import plain, table
from supernet.report.record_shapes import AMOUNT, CODE, COUNT, POSITIVE, SEED, SHARE
from supernet.report.standalone import BY_CLASS, attack_words, classes_differ, result_name
from supernet.report.words import dataset_name, percent, pixels
from supernet.shapes import require

HUB_DATASETS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
"""Data sets by their name on the hub."""
ROBUSTBENCH = ("cifar10", "cifar100")
"""Data sets that RobustBench has and the benchmark of cells, too."""
TAGS = [
    "image-classification", "timm", "adversarial-robustness", "neural-architecture-search",
    "nas-robbench-201",
]  # fmt: skip
FOLDED = ("model.pt2", "model.onnx")
"""The files that hold the folded form."""
UNKNOWN_LICENCE = "unknown"


def published(metadata: dict[str, Any]) -> dict[str, Any]:
    """model.json without the folders of this machine: of a path its last part is left."""
    kind, _, path = (metadata.get("dataset") or "").partition(":")
    training = dict(metadata.get("training") or {})
    for name in ("out", "data_root", "genotype", "device"):
        training.pop(name, None)
    if not path:
        return {**metadata, "training": training}
    name, val = f"{kind}:{Path(path).name}", metadata.get("val")
    held_out = None if val is None else Path(val).name
    if "data" in training:
        source = training["data"]["source"]
        # The longer path first: one may lie in the other.
        for place in sorted(filter(None, (path, val)), key=len, reverse=True):
            source = source.replace(str(at_home(place)), Path(place).name)
        training |= {"dataset": name, "data": {**training["data"], "name": name, "source": source}}
    if "val" in training:
        training["val"] = held_out
    return {**metadata, "dataset": name, "val": held_out, "training": training}


def require_facts(metadata: dict[str, Any], where: object) -> None:
    """What a card needs of a model.json besides what loading the network does.

    Raises: UserError naming the file (`where`) and what it lacks.
    """
    shape: dict[str, Any] = {"code": CODE, "image_size": POSITIVE}
    training: dict[str, Any] = {}
    if "attack" in (metadata.get("training") or {}):
        shape |= {"eps": SHARE, "epochs": COUNT}
        training |= {
            "attack": str, "attack_steps": COUNT, "batch_size": COUNT, "lr": AMOUNT,
            "weight_decay": AMOUNT, "seed": SEED,
        }  # fmt: skip
    if metadata.get("weights") == "average":
        training["ema_decay"] = AMOUNT
    require(metadata, {**shape, "training": training} if training else shape, where)


def model_card(
    facts: dict[str, Any],
    results: list[dict[str, Any]],
    *,
    index: int,
    files: dict[str, str],
    size: str,
    license: str | None,
) -> str:
    """README.md of an exported network.

    facts: of `published`. results: the rows of evaluation.json; empty where none was made.
    files: name -> what it is. size: a sentence about what the folded form saves.
    """
    by_class = classes_differ(results)
    data = ModelCardData(
        license=license or UNKNOWN_LICENCE,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=TAGS,
        datasets=[HUB_DATASETS[name] for name in [_images(facts)] if name in HUB_DATASETS] or None,
        metrics=["accuracy", *(["balanced_accuracy"] if by_class else [])],
        model_name=_title(facts),
        eval_results=[each for row in results for each in _results(row, facts, by_class)] or None,
    )
    blocks = [
        f"---\n{data.to_yaml()}\n---",
        f"# {plain(_title(facts))}",
        "An image classifier with a cell of the search space of NAS-Bench-201, trained "
        f"{'on clean images' if _clean(facts) else 'to withstand adversarial attacks'}. "
        "Images in [0, 1] go in, logits come out: the normalisation is the network's first layer.",
        *_accuracies(results),
        *_training(facts),
        *_genotype(facts, index),
        "## Files",
        table(["file", "holds"], [[f"`{name}`", words] for name, words in files.items()], "ll"),
        *([] if set(files).isdisjoint(FOLDED) else [size]),
        *_loading(facts, files),
        *_licence(license),
    ]
    return "\n\n".join(blocks) + "\n"


def _title(facts: dict[str, Any]) -> str:
    return f"nas_robbench_201 {facts['code']} {_images(facts)}".strip()


def _images(facts: dict[str, Any]) -> str:
    """The data set's name, which says so where other images stood in for it."""
    name = str(facts.get("dataset") or "")
    return f"stand-in for {name}" if _data(facts).get("stand_in") else name


def _data(facts: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = facts["training"].get("data") or {}
    return data


def _clean(facts: dict[str, Any]) -> bool:
    return bool(facts["training"].get("attack") == "none")


def _metric(row: dict[str, Any]) -> str:
    if row["attack"] == "clean":
        return "accuracy on clean images"
    if row["attack"] == "worst_case":
        return f"accuracy under the worst of these attacks, L-inf {pixels(row['eps'])}"
    return f"accuracy under {result_name(row)}, L-inf {pixels(row['eps'])}"


def _settings(row: dict[str, Any]) -> dict[str, Any]:
    """What an accuracy has to be measured with to be the same."""
    if row["attack"] == "clean":
        return {"images": row["images"]}
    names = ("eps", "steps", "step_size", "random_start", "restarts", "version", "seed", "images")
    return {"norm": "Linf", **{name: row[name] for name in names if row.get(name) is not None}}


def _results(row: dict[str, Any], facts: dict[str, Any], by_class: bool) -> list[EvalResult]:
    images = _images(facts)
    kinds = {"accuracy": _metric(row)}
    if by_class:
        kinds["balanced_accuracy"] = f"balanced {_metric(row)}"
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=HUB_DATASETS.get(images, images),
            dataset_name=dataset_name(images),
            dataset_split=row["split"],
            metric_type=kind,
            metric_name=name,
            metric_value=row[kind],
            metric_args=_settings(row),
        )
        for kind, name in kinds.items()
    ]


def _accuracies(results: list[dict[str, Any]]) -> list[str]:
    if not results:
        return ["## Accuracy", "The network has not been evaluated."]
    rows, by_class = [], classes_differ(results)
    for row in results:
        settings = _settings(row)
        name = "worst case of these" if row["attack"] == "worst_case" else plain(result_name(row))
        step = settings.get("step_size")
        rows.append([
            name, pixels(row["eps"]) if row["eps"] else "-", str(row["steps"] or "-"),
            pixels(step) if step else "-", percent(row["accuracy"]),
            *([percent(row["balanced_accuracy"])] if by_class else []),
        ])  # fmt: skip
    first = results[0]
    words = (
        f"On {first['images']:,} {plain(first['split'])} images, attacks in L-infinity with seed "
        f"{first['seed']}. An image counts where it is right as it is and attacked."
    )
    header = ["attack", "eps", "steps", "step size", "accuracy"]
    if by_class:
        header.append(BY_CLASS)
        words += " By class is the mean of the classes' accuracies, each counted alike."
    return ["## Accuracy", words, table(header, rows, "ll" + "r" * (len(header) - 2))]


def _training(facts: dict[str, Any]) -> list[str]:
    data, training = _data(facts), facts["training"]
    lines = [f"- image side: {facts['image_size']} pixels, classes: {facts['num_classes']}"]
    if facts.get("class_names"):
        lines.append(
            f"- classes in the order of the logits: {', '.join(map(plain, facts['class_names']))}"
        )
    if data:
        lines.append(f"- images: {plain(data['source'])}")
    if data.get("stand_in"):
        lines.append(
            f"- these images are a STAND-IN: the network has not seen {plain(facts['dataset'])}"
        )
    if "attack" in training:
        attack = (
            "none"
            if _clean(facts)
            else f"{plain(attack_words(training))}, eps {pixels(facts['eps'])}"
        )
        lines += [
            f"- attack of the training images: {attack}",
            f"- epochs: {facts['epochs']}, batch size: {training['batch_size']}, SGD with a "
            f"one-cycle learning rate up to {training['lr']:g}, weight decay "
            f"{training['weight_decay']:g}, seed {training['seed']}",
        ]
    if training.get("balance") is True:
        lines.append("- the training had the classes equally often")
    if training.get("train_dtype") == "bfloat16":
        lines.append("- convolutions of the training ran in bfloat16, all else in float32")
    if facts.get("weights") == "average":
        lines.append(f"- the weights are a moving average, decay {training['ema_decay']:g}")
    return ["## Data and recipe", "\n".join(lines)]


def _genotype(facts: dict[str, Any], index: int) -> list[str]:
    cell = Genotype.parse(facts["arch"])
    lines = [
        f"- string: `{cell.arch}`",
        f"- code: `{cell.code}`",
        f"- index in NAS-Bench-201 and NAS-RobBench-201: {index}",
        f"- network: C={facts['C']}, N={facts['N']}",
    ]
    return ["## Cell", "![The cell](cell.png)", "\n".join(lines)]


def _loading(facts: dict[str, Any], files: dict[str, str]) -> list[str]:
    blocks = ["## Loading"]
    if "model.safetensors" in files:
        blocks += ["With timm; the package robust-supernet registers the network:", _timm(facts)]
        if _images(facts) in ROBUSTBENCH:
            blocks.append(
                "RobustBench takes it as it is: "
                f'`benchmark(model, dataset="{_images(facts)}", threat_model="Linf", eps=8 / 255)`.'
            )
    if "model.pt2" in files:
        blocks += ["With torch alone:", _python(
            "import torch", "", 'model = torch.export.load("model.pt2").module()'
        )]  # fmt: skip
    if "model.onnx" in files:
        blocks += ["Without torch:", _python(
            "import onnxruntime", "", 'session = onnxruntime.InferenceSession("model.onnx")',
            '# logits = session.run(None, {"images": images})[0]   # float32 (B, 3, H, W)',
        )]  # fmt: skip
    return blocks


def _timm(facts: dict[str, Any]) -> str:
    return _python(
        "import timm",
        "import supernet.train.timm_model",
        "",
        "model = timm.create_model(",
        f'    "nas_robbench_201", genotype="{facts["code"]}", num_classes={facts["num_classes"]},',
        f'    C={facts["C"]}, N={facts["N"]}, checkpoint_path="model.safetensors",',
        ").eval()",
    )


def _python(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```"])


def _licence(license: str | None) -> list[str]:
    if license is None:
        return ["## Licence", "No licence was named for the weights. The program is Apache-2.0."]
    return ["## Licence", f"The weights: {license}. The program is Apache-2.0."]
