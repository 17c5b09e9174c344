"""The file of scores: same bytes however often it was cut off, and damage is told."""

import dataclasses
import json
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.sample import Cell, draw_cells
from supernet.studies.ranking.store import Store

CONFIG = RankConfig(cells=6)


@pytest.fixture
def cells(invented: Table) -> list[Cell]:
    return draw_cells(invented, CONFIG)


def _fill(store: Store, cells: list[Cell]) -> None:
    for cell in cells:
        store.append(cell, {"snip": cell.index / 7})


def test_a_record_holds_cell_and_scores(cells: list[Cell], tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "ranking")
    assert store.open(CONFIG, {"images": "none"}, cells) == 0
    _fill(store, cells)
    records = store.read(cells)
    assert [record["code"] for record in records] == [cell.genotype.code for cell in cells]
    assert records[2]["index"] == cells[2].index and records[2]["random"] is True
    assert records[2]["scores"] == {"snip": cells[2].index / 7}, "floats survive exactly"
    saved = json.loads((store.folder / "config.json").read_text())
    assert saved["images"] == "none" and saved["config"]["cells"] == 6


@pytest.mark.parametrize("cut", [1, 40, 55, 120, 10_000])
def test_cut_off_anywhere_it_ends_with_the_same_bytes(
    cells: list[Cell], tmp_path: Path, cut: int
) -> None:
    whole, torn = Store(tmp_path / "whole"), Store(tmp_path / "torn")
    for store in (whole, torn):
        store.open(CONFIG, {}, cells)
    _fill(whole, cells)
    torn.path.write_bytes(whole.path.read_bytes()[:cut])
    done = torn.open(CONFIG, {}, cells)
    assert done == whole.path.read_bytes()[:cut].count(b"\n")
    _fill(torn, cells[done:])
    assert torn.path.read_bytes() == whole.path.read_bytes()


def test_another_ranking_in_the_folder(cells: list[Cell], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open(CONFIG, {"supernet_sha256": "a"}, cells)
    with pytest.raises(UserError, match="holds a ranking with seed = 0, not 5; give another --out"):
        store.open(dataclasses.replace(CONFIG, seed=5), {"supernet_sha256": "a"}, cells)
    with pytest.raises(UserError, match="holds a ranking with supernet_sha256 = a, not b"):
        store.open(CONFIG, {"supernet_sha256": "b"}, cells)
    other_columns = dataclasses.replace(CONFIG, columns=("clean",), processes=2)
    assert store.open(other_columns, {"supernet_sha256": "a"}, cells) == 0


def test_a_ranking_of_another_version(cells: list[Cell], tmp_path: Path) -> None:
    Store(tmp_path).open(CONFIG, {}, cells)
    path = tmp_path / "config.json"
    description = json.loads(path.read_text())
    del description["config"]["ntk_outputs"]
    description["config"]["colour"] = 1
    path.write_text(json.dumps(description))
    message = r"config\.json was written by another version \(its fields differ in colour, ntk_out"
    with pytest.raises(UserError, match=message):
        Store(tmp_path).open(CONFIG, {}, cells)


def test_damaged_files(cells: list[Cell], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open(CONFIG, {}, cells)
    _fill(store, cells[1:])
    with pytest.raises(UserError, match=f"line 1 is of cell {cells[1].genotype.code}, the sample"):
        store.open(CONFIG, {}, cells)
    store.path.write_text("<html>\n")
    with pytest.raises(
        UserError, match="line 1 is not a JSON object; delete it and what follows it"
    ):
        store.open(CONFIG, {}, cells)
    store.path.write_text("{}\n")
    with pytest.raises(UserError, match="line 1 is not a record of scores"):
        store.open(CONFIG, {}, cells)
    store.path.unlink()
    _fill(store, [*cells, cells[0]])
    with pytest.raises(UserError, match="has 7 lines for 6 cells"):
        store.open(CONFIG, {}, cells)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"is there without its config\.json"):
        store.open(CONFIG, {}, cells)


def test_the_folder_of_a_search_is_no_ranking(cells: list[Cell], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"kind": "search", "config": {}}')
    with pytest.raises(UserError, match="holds a search, not a ranking; give another --out"):
        Store(tmp_path).open(CONFIG, {}, cells)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_two_rankings_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in (".ranking.json.abcd_123.tmp", "figures/.a.png.abcd_123.tmp"):
        (tmp_path / name).touch()
    with Store(tmp_path).locked():
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "figures"]
        with pytest.raises(UserError, match="is in use by process"), Store(tmp_path).locked():
            pass
