"""A finished search as a record, and an evidence.json that cannot be read."""

import json
import re
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.studies.evidence.judge import judged
from supernet.studies.evidence.records import (
    answer,
    key_of,
    read_evidence,
    record_of,
    write_evidence,
)
from tests.supernet.studies.evidence.conftest import CELLS, FREE, run_of, write_search


@pytest.mark.slow
def test_a_record_has_cells_way_costs_and_front(tmp_path: Path, invented: Table) -> None:
    planned = run_of("cifar100/main-seed6")
    record = record_of(planned, write_search(tmp_path, planned), invented)
    assert key_of(record) == planned.key == ("cifar100", "main", None, 6)
    codes = {guide: cell["code"] for guide, cell in record["cells"].items()}
    assert codes == {**CELLS, "free": FREE}
    assert record["cells"]["gains"] == judged(invented, CELLS["gains"], "cifar100")
    assert answer(record)["code"] == CELLS["refined"]
    assert answer(record, "gains")["code"] == CELLS["gains"]
    assert record["proposals"] == {"supernet": [CELLS["gains"]], "free": ["333333"]}
    assert record["path"] == ["333333", CELLS["refined"]]
    # Two threads for five minutes.
    assert record["cpu_seconds"] == {"supernet": 600.0, "refine": 600.0}
    assert (record["trainings"], record["seconds"]) == (40, 95.0)
    assert record["front"] == {
        "picked_by": "menu", "per_size": 3, "hypervolume": [0.912346, 0.95],
        "compared": {"random": [0.9, 0.94], "prior": [0.975, 0.99]},
    }  # fmt: skip
    assert record["flags"].endswith("--preset cpu --prior none --dataset cifar100 --epochs 20")
    assert record["config_hash"] == planned.config().hash()
    assert (record["machine"], record["impl"], record["versions"]) == (
        "a test", "batched", {"torch": "9.9"}
    )  # fmt: skip
    assert (record["images"], record["commit"]) == ("some images", None)
    assert record["attack_dtype"] == "bfloat16"


def test_a_search_without_supernet_or_trainings_costs_nothing(
    tmp_path: Path, invented: Table
) -> None:
    planned = run_of("cifar10/other-seed5")
    folder = write_search(tmp_path, planned)
    for name in ("refine.json", "metrics.jsonl"):
        (folder / name).unlink()
    record = record_of(planned, folder, invented)
    assert record["cpu_seconds"] == {"supernet": 0.0, "refine": 0.0}
    assert (record["trainings"], record["path"], record["proposals"]) == (0, [], {})


def test_threads_wait_for_a_gpu(tmp_path: Path, invented: Table) -> None:
    planned = run_of("cifar10/main-budgets-0.4M-seed5")
    folder = write_search(tmp_path, planned)
    description = read_json(folder / "config.json")
    write_json(folder / "config.json", {**description, "device_type": "cuda"})
    record = record_of(planned, folder, invented)
    assert record["cpu_seconds"]["supernet"] == 300.0
    assert record["budget"] == "0.4M"


KEYS = {"dataset": "digits", "row": "a", "budget": None, "seed": 0, "flags": "", "config_hash": "0"}


@pytest.mark.parametrize("runs", [[], [KEYS], [KEYS, {**KEYS, "row": "b", "path": [1]}]])
def test_a_run_is_a_line(tmp_path: Path, runs: list[dict[str, object]]) -> None:
    content = {"format": 3, "runs": runs, "note": None}
    write_evidence(tmp_path / "evidence.json", content)
    assert read_evidence(tmp_path / "evidence.json") == content
    lines = (tmp_path / "evidence.json").read_text().splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines if '"row"' in line] == runs


@pytest.mark.parametrize(
    ("content", "found"), [({"runs": []}, "1"), ({"format": 2}, "2"), ([], "unknown")]
)
def test_evidence_of_another_format(tmp_path: Path, content: object, found: str) -> None:
    path = tmp_path / "evidence.json"
    write_json(path, content)
    message = f"{re.escape(str(path))} has format {found}, this version reads format 3: use the "
    with pytest.raises(UserError, match=message + "version that wrote it, or give another --out"):
        read_evidence(path)


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        (
            "genotype.json",
            {"derivation": {"chosen_by": "luck", "cells": {}}},
            "chosen_by is 'luck'",
        ),
        ("genotype.json", {"seconds": "long"}, "seconds is 'long', not a finite number"),
        ("config.json", {"threads": None}, "threads is None, not a whole number"),
        ("config.json", {"data": "digits"}, "data is 'digits', not an object"),
        ("front.json", {"compared": [{"name": "random"}]}, r"compared\[0\] has no per_size"),
        ("front.json", {"judged_by": "../x"}, "judged_by is '../x'"),
        (
            "refine.json",
            {"sweeps": [{"start": None, "chosen": "<b>", "rounds": []}]},
            r"sweeps\[0\].chosen is '<b>'",
        ),
        ("refine.json", {"cpu_seconds": -1}, "cpu_seconds is -1"),
    ],
)
def test_a_search_that_was_changed_is_no_record(
    tmp_path: Path, invented: Table, file: str, change: dict[str, object], reason: str
) -> None:
    planned = run_of("cifar100/main-seed6")
    folder = write_search(tmp_path, planned)
    write_json(folder / file, {**read_json(folder / file), **change})
    with pytest.raises(UserError, match=reason):
        record_of(planned, folder, invented)
    (folder / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(UserError):
        record_of(planned, folder, invented)
