"""The readers of tables, lists and records of many cells, and of a network for the hub."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supernet.benchmark.own_table import FORMAT, read_own_table
from supernet.cells.argument import read_cells
from supernet.cells.genotype import Genotype
from supernet.search.config import SearchConfig
from supernet.studies.evidence.page import write_page
from supernet.studies.evidence.shared import SharedTrainings, _images
from supernet.studies.ranking.config import SUPERNET_SCORES, RankConfig
from supernet.studies.ranking.curve import _ranking, curves_of
from supernet.studies.ranking.judge import PARAMETERS
from supernet.studies.ranking.run import _refuse_other_scores
from supernet.studies.ranking.sample import Cell
from supernet.studies.ranking.store import Store
from supernet.studies.sweep.config import SweepConfig
from supernet.studies.sweep.run import _known, summary
from supernet.train.export import load_model, safetensors_bytes
from tests.fuzz.reader import Reader
from tests.fuzz.run_readers import ledger_line, small_model

ROOT = Path(__file__).parents[2]
CODES = ("333333", "313021", "112101")
RANKING = RankConfig(proxies=("params",), cells=3, dataset="digits", out="x")


def _lines(records: list[dict[str, Any]]) -> list[bytes]:
    return ["".join(json.dumps(record) + "\n" for record in records).encode()]


def _table_lines() -> list[bytes]:
    return _lines([
        {
            "format": FORMAT, "cell": code, "arch": Genotype.parse(code).arch, "seed": 0,
            "recipe": "quick", "status": "done", "dataset": "digits", "num_classes": 10,
            "results": {"clean": 0.5, "pgd_8": 0.25}, "training": {"limit": None, "epochs": 2},
            "images_digest": "0" * 12, "seconds": 1.5,
        }
        for code in CODES
    ])  # fmt: skip


def _read_own(path: Path) -> None:
    table, _ = read_own_table(path)
    table.values(table.datasets[0], table.columns[0])


def _read_sweep(path: Path) -> None:
    recipes = {"quick": {"limit": None, "epochs": 2}}
    _known(path, recipes, SweepConfig(cells=("333333",)), {None: "0" * 12})
    read_own_table(path)
    summary(path.parent)


def _sample() -> list[Cell]:
    return [Cell(n, n, Genotype.parse(code), random=True) for n, code in enumerate(CODES)]


def _score_lines() -> list[bytes]:
    return _lines([
        {"index": cell.index, "code": cell.genotype.code, "random": True,
         "scores": {"params": 1.5, "synflow": 2.0}} for cell in _sample()
    ])  # fmt: skip


def _read_scores(path: Path) -> None:
    _refuse_other_scores(Store(path.parent), _sample(), ["params", "synflow"])


def _ranking_config() -> list[bytes]:
    return [json.dumps({"config": RANKING.fixed(), "images": "digits"}).encode()]


def _read_ranking_config(path: Path) -> None:
    Store(path.parent).open(RANKING, {}, _sample())


def _rankings() -> list[bytes]:
    point = {"kendall": {"n": 9, "value": 0.5, "low": 0.4, "high": None}}
    rows = {name: {"all": point, "top_10": point} for name in (*SUPERNET_SCORES, PARAMETERS)}
    return [json.dumps({"supernet_steps": 100, "rows": {"pgd_8": rows}}).encode()]


def _read_ranking(path: Path) -> None:
    curves_of([_ranking(path.parent)])


@functools.cache
def _evidence() -> list[bytes]:
    path = ROOT / "docs" / "results" / "search" / "evidence" / "evidence.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    names = {run["row"] for run in record["runs"][:2]}
    record["runs"] = [run for run in record["runs"] if run["row"] in names][:4]
    return [json.dumps(record).encode()]


def _shared() -> list[bytes]:
    return _lines([_images(SearchConfig()), ledger_line(), ledger_line()])


def _read_shared(path: Path) -> None:
    SharedTrainings(path.parent).check(SearchConfig())


@functools.cache
def _safetensors() -> list[bytes]:
    network, facts = load_model(small_model())
    return [safetensors_bytes(network, facts)]


def _written(name: str, content: Callable[[], list[bytes]]) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content()[0])


STUDY_READERS = {
    "own table": Reader(_read_own, "table.jsonl", _table_lines),
    "sweep's table": Reader(_read_sweep, "table.jsonl", _table_lines),
    "cells": Reader(read_cells, "cells.txt", lambda: [
        b"333333\n17 # one\n\n|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|\n",
        b'{"cells": [{"code": "333333"}, {"arch": "x"}]}', b"[1, 2]",
    ]),
    "scores": Reader(
        _read_scores, "scores.jsonl", _score_lines, _written("config.json", _ranking_config)
    ),
    "ranking's config": Reader(
        _read_ranking_config, "config.json", _ranking_config,
        _written("scores.jsonl", _score_lines), json=True,
    ),
    "ranking.json": Reader(_read_ranking, "ranking.json", _rankings, json=True),
    "evidence.json": Reader(
        lambda path: write_page(path.parent, path.parent / "page.md"), "evidence.json", _evidence,
        json=True,
    ),
    "shared trainings": Reader(
        _read_shared, f"{SearchConfig().dataset}-seed{SearchConfig().seed}.jsonl", _shared
    ),
    "model.safetensors": Reader(load_model, "model.safetensors", _safetensors),
}  # fmt: skip
