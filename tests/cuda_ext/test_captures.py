"""The program that captures, as far as it runs without a GPU; `test_cuda.py` runs it on one."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def run_captures(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own."""
    command = [sys.executable, "-m", "tests.cuda_ext.captures", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_every_region_of_a_search_is_captured() -> None:
    done = run_captures("search", "cpu")
    assert done.returncode == 0, done.stderr


def test_a_capture_that_fails_fails_the_program() -> None:
    done = run_captures("broken", "cpu")
    assert done.returncode == 1
    assert "CaptureFailed: alpha's pass cannot be captured: operation not permitted" in done.stderr
