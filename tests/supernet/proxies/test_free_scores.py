"""The shipped scores: packed and read back, refused when damaged, and those that scoring gives."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.proxies import free_scores as module
from supernet.proxies.ensemble import SUMS
from supernet.proxies.free_scores import (
    CELLS,
    PATH,
    FreeScores,
    free_scores,
    packed,
    parts_of_sums,
    unpacked,
)
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.scorers import make_scorer

ROOT = Path(__file__).parents[3]
SMALL = ("114010", "240411")
"""Two cells that take a tenth of a second: one that only skips, and one with a convolution."""


def _invented() -> FreeScores:
    values = (
        np.random.default_rng(0).normal(size=(2, CELLS)) * 10.0 ** np.arange(0, 60, 30)[:, None]
    )
    return FreeScores(("a", "b"), values, {"runs": [{"scores": ["a", "b"], "command": "rank"}]})


def test_packed_and_unpacked_are_the_same() -> None:
    scores = _invented()
    data = packed(scores)
    again = unpacked(data)
    assert again.names == scores.names and again.facts == scores.facts
    assert again.values.tobytes() == scores.values.tobytes()
    assert packed(again) == data
    with pytest.raises(ValueError, match="read-only"):
        again.values[0, 0] = 1


def test_what_ships(real: Table) -> None:
    scores = free_scores()
    assert scores is free_scores()
    assert scores.values.shape == (len(scores.names), real.size) == (len(scores.names), CELLS)
    assert {part for weights in SUMS.values() for part in weights} <= {*scores.names, "params"}
    assert PATH.stat().st_size < 500_000
    assert packed(scores) == PATH.read_bytes()
    assert [name for run in scores.facts["runs"] for name in run["scores"]] == list(scores.names)
    for run in scores.facts["runs"]:
        assert run["command"].startswith("python scripts/rank.py --proxies")
        assert run["config"]["cells"] == 0 and "CIFAR" in json.dumps(run).upper()
        assert {"torch", "numpy"} <= set(run["machine"]["versions"])
    # A cell without a path from input to output has the lowest scores, one value for all.
    dead = np.array([not cell.is_connected for cell in real.genotypes])
    for name in ("synflow", "jacob_cov"):
        assert np.ptp(scores.of(name)[dead]) == 0
        assert scores.of(name)[dead].max() < scores.of(name)[~dead].min()


def test_parts_of_sums_count_no_dead_edge(real: Table) -> None:
    parts = parts_of_sums(real)
    assert set(parts) == {*free_scores().names, "params"}
    assert parts["params"][real.row(Genotype.parse("333000"))] == Genotype.parse("000000").params()
    assert parts["params"].max() == Genotype.parse("333333").params()


def test_an_unknown_score_is_named() -> None:
    with pytest.raises(UserError, match="unknown shipped score 'zen'; choose from synflow"):
        free_scores().of("zen")


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "values"])
def test_a_damaged_file_is_named(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / PATH.name
    monkeypatch.setattr(module, "PATH", path)
    with pytest.raises(UserError, match=r"cannot read .*free_scores\.npz: No such file.*install"):
        free_scores.__wrapped__()
    data = bytearray(packed(_invented()))
    if damage == "flipped":
        data[5000] ^= 1
    elif damage == "values":
        data = bytearray(packed(dataclasses.replace(_invented(), names=("a",))))
    path.write_bytes(data[:5000] if damage == "cut" else b"no" if damage == "other" else data)
    with pytest.raises(UserError, match=r"free_scores\.npz is damaged \(.*\); install the package"):
        free_scores.__wrapped__()


def test_it_is_packaged() -> None:
    assert f'"supernet.proxies" = ["{PATH.name}"]' in (ROOT / "pyproject.toml").read_text()
    assert f"include supernet/proxies/{PATH.name}" in (ROOT / "MANIFEST.in").read_text()


@pytest.mark.slow
def test_no_torch() -> None:
    modules = "supernet.proxies.free_scores, supernet.proxies.ensemble"
    code = f"import sys, {modules}; supernet.proxies.free_scores.free_scores(); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("code", SMALL)
def test_scoring_again_gives_what_ships(code: str, real: Table, data_root: Path) -> None:
    """On another CPU sums of floats differ in their last digits; jacob_cov divides by a sum."""
    cell, scores = Genotype.parse(code), free_scores()
    row = real.row(cell)
    assert real.genotypes[row] == cell, "the member of the class that was scored"
    for run in scores.facts["runs"]:
        fields = run["config"] | {
            "proxies": tuple(run["config"]["proxies"]),
            "data_root": str(data_root),
        }
        scorer, _ = make_scorer(RankConfig(**fields))
        found = scorer(cell)
        for name in run["scores"]:
            assert found[name] == pytest.approx(scores.of(name)[row], rel=1e-3), name
