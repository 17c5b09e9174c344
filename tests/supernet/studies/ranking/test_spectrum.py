"""The command that draws spectra."""

import dataclasses
import json
from pathlib import Path

import pytest

from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.proxies.registry import NTK_NAMES
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.scorers import make_scorer
from supernet.studies.ranking.spectrum import run_spectra


@pytest.mark.slow
def test_spectra_are_those_the_ranking_scores(config: RankConfig) -> None:
    said = run_spectra(config, ["333133", "111111"])
    stem = Path(config.folder) / "spectrum"
    assert str(stem) in said and stem.with_suffix(".png").exists()
    cells = json.loads(stem.with_suffix(".json").read_text())["cells"]
    assert list(cells) == ["333133", "111111"]
    for kernels in cells.values():
        assert {name: len(v) for name, v in kernels["eigenvalues"].items()} == {
            "clean": 4,
            "robust": 4,
            "twice": 4,
        }
    scorer, _ = make_scorer(dataclasses.replace(config, proxies=("ntk",)))
    scored = scorer(Genotype.parse("333133"))
    assert {n: scored[n] for n in NTK_NAMES} == pytest.approx(cells["333133"]["scores"])


def test_unknown_cell(config: RankConfig) -> None:
    with pytest.raises(UserError, match="names no operator"):
        run_spectra(config, ["999999"])
