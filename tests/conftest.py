"""Fixtures shared by all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.pictures import not_rendered

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell lets jobs in its background ignore Ctrl-C, which some tests press.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def no_pictures() -> Iterator[None]:
    """`not_rendered` for one test."""
    with not_rendered():
        yield


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
