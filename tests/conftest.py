"""Fixtures shared by all tests."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not rendered, and their files hold a word: rendering takes most of the
    time of a short run. What figures show is tested where they are drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def savefig(figure: Figure, stream: BinaryIO, **settings: object) -> None:
        stream.write(b"not drawn")

    monkeypatch.setattr(Figure, "savefig", savefig)
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda canvas: None)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that ROBUST_SUPERNET_DATA names. Set but missing is a failure, not a skip."""
    named = os.environ.get("ROBUST_SUPERNET_DATA")
    if not named:
        pytest.skip("ROBUST_SUPERNET_DATA names no folder with benchmark tables and images")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"ROBUST_SUPERNET_DATA={named} is not a folder")
    return folder
