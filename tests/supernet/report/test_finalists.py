"""The finalists' section says what finalists.json says, and how the answer compares."""

import json
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.report.finalists import in_one_line, section, verdict
from supernet.report.run_files import RunFiles
from tests.supernet.report.runs import FOUND, write_run

DENSE = "333333"


def finalist(table: Table, code: str, names: list[str], *robust: float) -> dict[str, Any]:
    cell = Genotype.parse(code)
    return {
        "names": names, "code": code, "params": cell.params(), "benchmark": query_cell(table, cell),
        "clean": [value + 0.1 for value in robust], "robust": list(robust),
    }  # fmt: skip


@pytest.fixture
def record(invented: Table) -> dict[str, Any]:
    return {
        "images": {
            "name": "cifar10", "stand_in": False, "num_classes": 10, "image_size": 16,
            "train_images": 5000, "held_out_images": 500, "held_out_from": "test",
        },
        "eps": 4 / 255,
        "recipe": {
            "steps": 100, "batch_size": 64, "attack": "n_fgsm", "attack_steps": 7, "pgd_steps": 20,
            "C": 16, "N": 5,
        },
        "seeds": [0, 1, 2],
        "judged_by": ["cifar10", "pgd_8"],
        "seconds": 130.0,
        "cells": [
            finalist(invented, FOUND.code, ["answer"], 0.30, 0.28, 0.32),
            finalist(invented, "323133", ["answer 2", "prior"], 0.33, 0.36, 0.36),
            finalist(invented, DENSE, ["all 3x3"], 0.24, 0.279, 0.21),
            finalist(invented, "331333", ["random of equal size 1"], 0.22, 0.28, 0.31),
        ],
    }  # fmt: skip


def text_of(folder: Path, table: Table, record: dict[str, Any]) -> str:
    run = RunFiles.read(write_run(folder, table), table)
    assert section(run) == []
    (folder / "finalists.json").write_text(json.dumps(record))
    return "\n\n".join(section(run))


def test_the_verdict_names_what_differs_by_more_than_the_spread(record: dict[str, Any]) -> None:
    assert verdict(record) == (
        "Under PGD-20 4/255 the answer has 30.0 %: it is better by more than the spread over seeds "
        "than all 3x3 (24.3 %); within the spread of random of equal size 1 (27.0 %); worse by "
        "more than the spread than answer 2 = prior (35.0 %)."
    )
    # A seed of the other that is as good as the answer's worst is within the spread.
    record["cells"][2]["robust"] = [0.24, 0.28, 0.21]
    assert "within the spread of all 3x3 (24.3 %), random of equal size 1" in verdict(record)


def test_an_answer_that_needs_no_search_is_called_so(record: dict[str, Any]) -> None:
    del record["cells"][2]
    record["cells"][0]["names"] = ["answer", "all 3x3"]
    assert verdict(record).startswith("The answer is all 3x3 itself, which needs no search. Under")
    record["cells"] = record["cells"][:1]
    assert verdict(record).endswith("Under PGD-20 4/255 the answer has 30.0 %.")


def test_the_table_and_the_recipe(tmp_path: Path, record: dict[str, Any], invented: Table) -> None:
    text = text_of(tmp_path, invented, record)
    entry = query_cell(invented, Genotype.parse(DENSE))
    value, rank = entry["results"]["cifar10"]["pgd_8"], entry["ranks"]["cifar10"]["pgd_8"]
    assert (
        f"| all 3x3 | `{DENSE}` | 1.53 M | 34.3 % (31.0 to 37.9) | 24.3 % (21.0 to 27.9) "
        f"| {100 * value:.2f} % | {rank:,} |"
    ) in text
    assert "| PGD-20 4/255 | benchmark: CIFAR-10 PGD-20 8/255 | rank there |" in text
    assert (
        "(C=16, N=5; 100 steps of 64 images under N-FGSM at 4/255; the same 3 seeds) on 5,000 "
        "images of cifar10 at 16x16, and measured on 500 test images, by which nothing was chosen."
    ) in text
    assert "took 2 min 10 s of computing" in text
    assert f"--genotype {tmp_path}/finalists.json:0" in text


def test_images_that_the_answer_was_chosen_by_are_called_so(
    tmp_path: Path, record: dict[str, Any], invented: Table
) -> None:
    record["images"] |= {"held_out_from": "alpha half", "stand_in": True}
    record["recipe"] |= {"attack": "pgd"}
    text = text_of(tmp_path, invented, record)
    assert "500 images of the alpha half, by which the answer was chosen, too: that favours" in text
    assert "nothing was chosen" not in text
    assert "under PGD-7 at 4/255" in text and "5,000 images of a stand-in for cifar10" in text


def test_clean_finalists_are_compared_on_clean_images(
    tmp_path: Path, record: dict[str, Any], invented: Table
) -> None:
    record |= {"eps": None, "judged_by": ["cifar10", "clean"]}
    for cell in record["cells"]:
        cell["robust"] = None
    text = text_of(tmp_path, invented, record)
    assert "On clean images the answer has 40.0 %: it is better" in text
    assert "100 steps of 64 clean images; the same 3 seeds" in text
    assert "PGD" not in text and "benchmark: CIFAR-10 clean | rank there |" in text


def test_trainings_that_are_too_short_to_say_much_are_called_so(
    tmp_path: Path, record: dict[str, Any], invented: Table
) -> None:
    warning = "less than twice that of guessing (10.0 %): the trainings are too short"
    record["cells"] = record["cells"][2:]  # the best of these has 27 %
    assert warning not in text_of(tmp_path / "a", invented, record)
    record["cells"][1]["robust"] = [0.19, 0.2, 0.2]
    record["cells"][0]["robust"] = [0.1, 0.1, 0.1]
    assert warning in text_of(tmp_path / "b", invented, record)


def test_one_line_for_the_terminal(record: dict[str, Any]) -> None:
    assert in_one_line(record) == (
        "under PGD-20 4/255 answer 30.0 %, answer 2 = prior 35.0 %, all 3x3 24.3 %, "
        "random of equal size 1 27.0 %"
    )
