import json
from pathlib import Path

import pytest

from supernet.benchmark.load import shipped_table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.studies.sweep.cells import cells_of
from supernet.studies.sweep.config import SweepConfig


@pytest.fixture(autouse=True)
def _no_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)


def _codes(*cells: str, **fields: str) -> list[str]:
    return [cell.code for cell in cells_of(SweepConfig(cells=cells, **fields))]


def test_cells_come_from_codes_files_and_lists_each_once(tmp_path: Path) -> None:
    front = tmp_path / "front.json"
    entries = [{"code": "333333"}, {"code": "111111"}, {"code": "222222"}]
    front.write_text(json.dumps({"dataset": "digits", "cells": entries}))
    (tmp_path / "genotype.json").write_text(json.dumps({"code": "012301"}))
    text = tmp_path / "cells.txt"
    text.write_text("444444  # pools\n333333\n")
    assert _codes("333133", str(front), str(text), "333133") == [
        "333133", "333333", "111111", "222222", "444444"
    ]  # fmt: skip
    assert _codes(f"{front}:1", str(tmp_path)) == ["111111", "012301"]
    assert _codes("9930") == ["333133"]


def test_top_is_the_benchmarks_and_all_has_one_of_each_class() -> None:
    assert _codes("top:2") == ["323133", "333133"]
    smallest = Genotype.parse(_codes("top:1", metric="params")[0])
    assert smallest.params() == shipped_table().costs("params").min()
    every = _codes("all")
    assert len(every) == 6466
    assert len({Genotype.parse(code).canonical for code in every}) == 6466


def test_no_cell_and_a_bad_one_are_named() -> None:
    with pytest.raises(UserError, match="no cell was named; give --cells"):
        _codes()
    with pytest.raises(UserError, match="33x"):
        _codes("33x")
    with pytest.raises(UserError, match="unknown metric 'speed'"):
        _codes("top:3", metric="speed")
