"""A quick ranking on the embedded digits, judged by the invented table."""

from pathlib import Path
from typing import Any

import pytest

from supernet.studies.ranking.config import RankConfig


@pytest.fixture
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
