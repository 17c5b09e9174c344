"""A quick ranking on the embedded digits, judged by the invented table."""

from pathlib import Path
from typing import Any

import pytest

from supernet.runs.search_run import run_search
from supernet.search.config import SearchConfig
from supernet.studies.ranking.config import RankConfig
from tests.pictures import not_rendered


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a search of six steps that kept both epochs."""
    settings = SearchConfig(
        robust=True, C=4, N=1, limit=200, epochs=2, batch_size=32, attack_steps=1,
        probe_images=32, device="cpu", keep_epochs=(1, 2), proposals=("supernet",), refine_moves=0,
        out=str(tmp_path_factory.mktemp("run") / "search"),
    )  # fmt: skip
    with not_rendered():
        return run_search(settings, quiet=True)


@pytest.fixture(scope="session")
def quick(invented_root: Path) -> dict[str, Any]:
    """Fields of a RankConfig that takes a second."""
    return {
        "dataset": "digits", "data_root": str(invented_root), "verify": False, "cells": 12, "C": 4,
        "N": 1, "batch": 4, "bootstrap": 20, "device": "cpu", "proxies": ("gradnorm", "naswot"),
        "columns": ("pgd_8",),
    }  # fmt: skip


@pytest.fixture
def config(quick: dict[str, Any], tmp_path: Path) -> RankConfig:
    """That config, writing under tmp_path."""
    return RankConfig(**quick, out=str(tmp_path / "ranking"))
