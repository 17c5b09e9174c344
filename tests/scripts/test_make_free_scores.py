"""scripts/make_free_scores.py packs finished rankings of all cells, and refuses others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark.table import Table
from supernet.proxies.free_scores import CELLS, unpacked
from supernet.studies.ranking.config import RankConfig
from tests.scripts.inprocess import run_script

pytestmark = pytest.mark.slow

Records = list[dict[str, Any]]


def _ranking(folder: Path, table: Table, *names: str, change: Callable[[Records], Any]) -> Path:
    """A finished ranking of all cells, last cell first, whose scores are (row + 1) / place."""
    config = RankConfig(cells=0, proxies=names, batch=32, seed=3, eps=0.1)
    folder.mkdir()
    about = {"config": config.fixed(), "images": "invented", "machine": {"device": "none"}}
    (folder / "config.json").write_text(json.dumps(about))
    records = [
        {
            "index": index,
            "code": cell.code,
            "scores": {name: (row + 1) / place for place, name in enumerate(names, start=1)},
        }
        for row, (index, cell) in enumerate(zip(table.unique, table.genotypes, strict=True))
    ][::-1]
    change(records)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "scores.jsonl").write_text(lines)
    return folder


def test_two_rankings_become_one_file(real: Table, tmp_path: Path) -> None:
    _ranking(tmp_path / "one", real, "snip", "synflow", change=len)
    _ranking(tmp_path / "two", real, "naswot", change=len)
    for out in ("a.npz", "b.npz"):
        done = run_script("make_free_scores.py", "one", "two", "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "snip, synflow, naswot of 6,466 cells" in done.stdout
    data = (tmp_path / "a.npz").read_bytes()
    assert data == (tmp_path / "b.npz").read_bytes()
    scores = unpacked(data)
    assert scores.names == ("snip", "synflow", "naswot")
    assert (scores.of("synflow") == (np.arange(CELLS) + 1) / 2).all()
    assert (scores.of("naswot") == np.arange(CELLS) + 1).all()
    first, second = scores.facts["runs"]
    assert first["scores"] == ["snip", "synflow"] and second["scores"] == ["naswot"]
    assert first["command"] == (
        "python scripts/rank.py --proxies snip,synflow --cells 0 --batch 32 --eps 0.1 --seed 3"
    )
    assert first["images"] == "invented" and first["machine"] == {"device": "none"}


@pytest.mark.parametrize(
    ("names", "change", "sentence"),
    [
        (("naswot",), lambda r: r.pop(7), "lacks 1 of 6,466 cells; rank with --cells 0 to the end"),
        (("naswot",), lambda r: r[5].update(code="000000"), "has cell 000000 at index"),
        (("naswot",), lambda r: r.append(r[0]), "has 6,467 lines for 6,466 cells"),
        (("naswot",), lambda r: r[3]["scores"].clear(), "has no naswot"),
        (("snip",), len, "has the score snip like a folder before it; leave one out"),
        (("ntk_clean_cond",), len, "ntk_clean_cond is better where it is lower"),
    ],
)
def test_other_rankings_are_refused(
    names: tuple[str, ...],
    change: Callable[[Records], Any],
    sentence: str,
    real: Table,
    tmp_path: Path,
) -> None:
    _ranking(tmp_path / "one", real, "snip", change=len)
    _ranking(tmp_path / "two", real, *names, change=change)
    done = run_script("make_free_scores.py", "one", "two", "--out", "a.npz", cwd=tmp_path)
    assert done.returncode == 2 and sentence in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "a.npz").exists()


def test_too_large_a_file_is_refused(real: Table, tmp_path: Path) -> None:
    names = [f"score{number}" for number in range(12)]
    noise = np.random.default_rng(0).normal(size=(CELLS, 12))

    def change(records: Records) -> None:
        for record, row in zip(records, noise, strict=True):
            record["scores"] = dict(zip(names, row, strict=True))

    _ranking(tmp_path / "one", real, *names, change=change)
    done = run_script("make_free_scores.py", "one", "--out", "a.npz", cwd=tmp_path)
    assert done.returncode == 2 and "over 500,000; pack fewer scores" in done.stderr
