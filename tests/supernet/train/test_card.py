"""The model card says what was measured, on which images, with which settings, and no folder."""

import json
from typing import Any

import pytest
import yaml

from supernet.cells.genotype import Genotype
from supernet.train.card import model_card, published

ROWS: list[dict[str, Any]] = [
    {"attack": "clean", "accuracy": 0.75, "eps": 0.0, "steps": 0, "step_size": 0.0},
    {"attack": "pgd", "accuracy": 0.5, "eps": 8 / 255, "steps": 20, "step_size": 1 / 255,
     "random_start": True, "restarts": 1},
    {"attack": "autoattack", "accuracy": 0.25, "eps": 8 / 255, "steps": 100, "version": "standard",
     "stages": []},
    {"attack": "worst_case", "accuracy": 0.25, "eps": 8 / 255, "steps": None},
]  # fmt: skip
for row in ROWS:
    row |= {"name": row["attack"], "split": "test", "images": 40, "seed": 3, "dataset": "cifar10"}


def facts(dataset: str, **changes: Any) -> dict[str, Any]:
    """The facts of a training, as model.json has them next to cell, sizes and normalisation."""
    path = dataset.partition(":")[2]
    source = f"the folder {path}, shown as 8x8" if path else "the publisher's files"
    data = {"name": dataset, "source": source, "stand_in": False, "train_images": 500}
    training = {
        "genotype": "/home/me/run/genotype.json", "out": "/home/me/out", "data_root": "/home/me",
        "device": "auto", "dataset": dataset, "attack": "pgd", "attack_steps": 7,
        "batch_size": 256, "lr": 0.1, "weight_decay": 5e-4, "seed": 0, "ema_decay": 0.999,
        "data": data, **changes,
    }  # fmt: skip
    return {
        "dataset": dataset, "image_size": 32, "side": None, "eps": 8 / 255, "weights": "last",
        "epochs": 50, "class_names": ["cat", "dog"], "training": training,
    }  # fmt: skip


def card(results: list[dict[str, Any]], dataset: str = "cifar10", **changes: Any) -> str:
    cell = Genotype.parse("313021")
    network = {"arch": cell.arch, "code": cell.code, "C": 16, "N": 5, "num_classes": 10}
    return model_card(
        published({**network, **facts(dataset, **changes)}), results, index=7,
        files={"model.safetensors": "weights"}, size="Small.", license=None,
    )  # fmt: skip


def front_matter(text: str) -> dict[str, Any]:
    start, block, _ = text.split("---\n", 2)
    assert start == ""
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def test_accuracies_stand_with_their_settings() -> None:
    text = card(ROWS)
    data = front_matter(text)
    assert data["license"] == "unknown" and data["datasets"] == ["uoft-cs/cifar10"]
    assert data["pipeline_tag"] == "image-classification"
    (model,) = data["model-index"]
    (measured,) = model["results"]
    assert measured["dataset"] == {
        "name": "CIFAR-10", "type": "uoft-cs/cifar10", "split": "test"
    }  # fmt: skip
    clean, pgd, auto, worst = measured["metrics"]
    assert clean["value"] == 0.75 and clean["name"] == "accuracy on clean images"
    assert clean["args"] == {"images": 40}
    assert pgd["name"] == "accuracy under PGD-20, L-inf 8/255"
    assert pgd["args"] == {
        "norm": "Linf", "eps": 8 / 255, "steps": 20, "step_size": 1 / 255, "random_start": True,
        "restarts": 1, "seed": 3, "images": 40,
    }  # fmt: skip
    assert auto["args"]["version"] == "standard" and auto["args"]["steps"] == 100
    assert worst["name"] == "accuracy under the worst of these attacks, L-inf 8/255"
    assert "| PGD-20 | 8/255 | 20 | 1/255 | 50.00 % |" in text
    assert "| none (clean) | - | - | - | 75.00 % |" in text
    assert "| worst case of these | 8/255 | - | - | 25.00 % |" in text
    assert "On 40 test images, attacks in L-infinity with seed 3." in text


def test_uneven_classes_are_counted_alike_too() -> None:
    even = [{**row, "balanced_accuracy": row["accuracy"]} for row in ROWS]
    assert card(even) == card(ROWS)
    uneven = [{**row, "balanced_accuracy": row["accuracy"] / 2} for row in ROWS]
    text = card(uneven, balance=True)
    assert "| PGD-20 | 8/255 | 20 | 1/255 | 50.00 % | 25.00 % |" in text
    assert "By class is the mean of the classes' accuracies, each counted alike." in text
    data = front_matter(text)
    assert data["metrics"] == ["accuracy", "balanced_accuracy"]
    ((measured,),) = (model["results"] for model in data["model-index"])
    found = {m["name"]: (m["type"], m["value"]) for m in measured["metrics"]}
    assert found["accuracy under PGD-20, L-inf 8/255"] == ("accuracy", 0.5)
    assert found["balanced accuracy under PGD-20, L-inf 8/255"] == ("balanced_accuracy", 0.25)
    assert len(found) == 8


def test_recipe_cell_and_loading() -> None:
    text = card([])
    assert "The network has not been evaluated." in text
    assert "model-index" not in front_matter(text)
    assert "- attack of the training images: PGD-7, eps 8/255" in text
    assert "- epochs: 50, batch size: 256, SGD with a one-cycle learning rate up to 0.1" in text
    assert "- classes in the order of the logits: cat, dog" in text and "Small." not in text
    assert f"- string: `{Genotype.parse('313021').arch}`" in text and "- code: `313021`" in text
    assert "NAS-RobBench-201: 7" in text and "![The cell](cell.png)" in text
    assert '`benchmark(model, dataset="cifar10", threat_model="Linf", eps=8 / 255)`' in text
    assert "No licence was named for the weights." in text


def test_what_is_not_as_usual_is_said() -> None:
    text = card([], attack="none")
    assert "trained on clean images" in text and "attack of the training images: none" in text
    text = card([], attack="n_fgsm")
    assert "attack of the training images: N-FGSM, eps 8/255" in text
    assert "classes equally often" not in text and "bfloat16" not in text
    text = card([], balance=True, train_dtype="bfloat16")
    assert "- the training had the classes equally often" in text
    assert "- convolutions of the training ran in bfloat16, all else in float32" in text
    stand_in = {"name": "cifar10", "source": "s", "stand_in": True, "train_images": 3}
    text = card(ROWS, data=stand_in)
    assert "these images are a STAND-IN: the network has not seen cifar10" in text
    data = front_matter(text)
    assert "datasets" not in data and "RobustBench" not in text
    assert data["model-index"][0]["results"][0]["dataset"]["type"] == "stand-in for cifar10"


@pytest.mark.parametrize("val", ["/home/me/PICTURES/held", "/home/you/held", "/home"])
def test_the_folder_of_held_out_pictures_is_not_published_either(val: str) -> None:
    told = facts("folder:/home/me/PICTURES", val=val)
    told["val"] = val
    told["training"]["data"]["source"] = f"the folder /home/me/PICTURES, held out {val}, shown"
    found = published(told)
    name = val.rpartition("/")[2]
    assert found["val"] == found["training"]["val"] == name
    source = found["training"]["data"]["source"]
    assert source.endswith(", shown") and name in source
    assert "/home" not in json.dumps(found) and "/home" not in source


@pytest.mark.parametrize("dataset", ["folder:/home/me/PICTURES", "pack:/home/me/PICTURES"])
def test_folders_of_this_machine_are_not_published(dataset: str) -> None:
    found = published(facts(dataset))
    kind = dataset.partition(":")[0]
    assert found["dataset"] == found["training"]["dataset"] == f"{kind}:PICTURES"
    assert found["training"]["data"]["source"] == "the folder PICTURES, shown as 8x8"
    assert "/home" not in json.dumps(found) and "/home" not in card([], dataset)
    assert "datasets" not in front_matter(card([], dataset))
