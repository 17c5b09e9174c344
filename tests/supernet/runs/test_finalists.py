"""Finalists are trained as the record says, once for each class, and go on where they stopped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.runs import finalists
from supernet.runs.finalists import (
    finalist_images,
    grouped,
    recipe_of,
    write_finalists,
)
from supernet.search.config import SearchConfig
from supernet.search.search import Search, load_images
from supernet.train import side_by_side
from supernet.train.short import Outcome, Recipe, train_briefly

pytestmark = pytest.mark.slow

FIRST, TWIN, OTHER = (Genotype.parse(code) for code in ("123121", "132211", "222222"))
CANDIDATES = {"answer": FIRST, "all 1x1": OTHER, "prior": TWIN}
CONFIG = SearchConfig(
    robust=True, C=2, N=1, batch_size=20, limit=100, attack="n_fgsm", eps=16 / 255, finalists=1,
    finalist_steps=3, processes=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finalists, "NETWORK", {"C": 4, "N": 1})
    monkeypatch.setattr(finalists, "SEEDS", (0, 1))
    monkeypatch.setattr(finalists, "HELD_OUT", 30)


def make(**fields: Any) -> Search:
    config = dataclasses.replace(CONFIG, **fields)
    device = torch.device("cpu")
    return Search(config, load_images(config, device), device)


def written(folder: Path, table: Table, **fields: Any) -> dict[str, Any]:
    record = write_finalists(folder, make(**fields), CANDIDATES, table, quiet=True)
    assert json.loads((folder / "finalists.json").read_text()) == record
    return {**record, "seconds": 0}


def trained(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "finalists.jsonl").read_text().splitlines()]


def test_the_record_is_of_trainings_on_training_images_measured_on_test_images(
    tmp_path: Path, invented: Table
) -> None:
    record = written(tmp_path, invented)
    data = load_dataset("digits", limit=100, test_limit=30)
    data = dataclasses.replace(data, eps=16 / 255)
    recipe = Recipe(steps=3, attack="n_fgsm", C=4, N=1, pgd_steps=20, attack_all=False)
    assert [cell["names"] for cell in record["cells"]] == [["answer", "prior"], ["all 1x1"]]
    for cell, genotype in zip(record["cells"], (FIRST, OTHER), strict=True):
        outcomes = [train_briefly(genotype, data, recipe, seed) for seed in (0, 1)]
        assert cell["clean"] == [outcome.acc for outcome in outcomes]
        assert cell["robust"] == [outcome.robust_acc for outcome in outcomes]
        assert (cell["code"], cell["params"]) == (genotype.code, genotype.params())
        assert cell["flops"] == genotype.flops(image_size=16)
        assert cell["benchmark"] == query_cell(invented, genotype)
    images = record["images"]
    assert (images["train_images"], images["held_out_images"]) == (100, 30)
    assert (images["held_out_from"], images["name"]) == ("test", "digits")
    assert record["recipe"] == dataclasses.asdict(recipe)
    assert (record["eps"], record["seeds"]) == (16 / 255, [0, 1])


def test_isomorphic_candidates_are_trained_once(tmp_path: Path, invented: Table) -> None:
    assert FIRST.canonical == TWIN.canonical
    assert grouped(CANDIDATES) == [(["answer", "prior"], FIRST), (["all 1x1"], OTHER)]
    written(tmp_path, invented)
    assert [line["cell"] for line in trained(tmp_path)] == ["123121"] * 2 + ["222222"] * 2


def test_what_was_stopped_goes_on_to_the_same_record(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole = written(tmp_path / "whole", invented)
    calls = []

    def pressed(*arguments: Any) -> Outcome:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train_briefly(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(side_by_side, "train_briefly", pressed)
        with pytest.raises(KeyboardInterrupt):
            written(tmp_path / "part", invented)
    assert len(trained(tmp_path / "part")) == 2
    assert not (tmp_path / "part" / "finalists.json").exists()
    assert written(tmp_path / "part", invented) == whole
    assert len(trained(tmp_path / "part")) == 4


def test_other_steps_are_other_trainings(tmp_path: Path, invented: Table) -> None:
    first = written(tmp_path, invented)
    assert written(tmp_path, invented, finalist_steps=2)["recipe"]["steps"] == 2
    assert [line["steps"] for line in trained(tmp_path)] == [3] * 4 + [2] * 4
    assert written(tmp_path, invented) == first
    assert len(trained(tmp_path)) == 8


def test_the_trainings_of_a_clean_search_are_clean(tmp_path: Path, invented: Table) -> None:
    record = written(tmp_path, invented, robust=False)
    assert record["eps"] is None and record["recipe"]["attack"] == "none"
    assert all(cell["robust"] is None and len(cell["clean"]) == 2 for cell in record["cells"])
    assert record["judged_by"] == ["cifar10", "clean"]


def test_the_attack_is_the_searchs_own() -> None:
    recipe = recipe_of(dataclasses.replace(CONFIG, attack="pgd", attack_steps=3))
    assert (recipe.attack, recipe.attack_steps, recipe.pgd_steps) == ("pgd", 3, 20)


def test_images_without_a_test_split_are_halved_as_in_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = make()
    nothing = load_dataset("digits", limit=0, test_limit=0)
    monkeypatch.setattr(finalists, "load_dataset", lambda *a, **k: nothing)
    images, split = finalist_images(search)
    assert (split, images.eps) == ("alpha half", 16 / 255)
    assert torch.equal(images.train_x, search.data.train_x[search.images.weight_half])
    assert torch.equal(images.train_y, search.data.train_y[search.images.weight_half])
    x, y = search.images.held_out(30)
    assert torch.equal(images.test_x.float() / 255, x) and torch.equal(images.test_y, y)


def test_test_images_are_shrunk_as_those_of_the_search() -> None:
    search = make(shrink=2)
    images, split = finalist_images(search)
    assert split == "test"
    assert images.train_x.shape[2:] == images.test_x.shape[2:] == (8, 8)
    whole = load_dataset("digits", limit=100, test_limit=30)
    assert torch.equal(images.test_x, whole.shrink(2).test_x)
    assert torch.equal(images.train_x, search.data.train_x)
