"""What the Makefile hands to the shell."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["a $(touch owned) b", "a `touch owned`", "it's; touch owned"])
def test_the_path_of_a_checkout_is_not_run(tmp_path: Path, name: str) -> None:
    checkout = tmp_path / name
    tools = checkout / ".venv" / "bin"
    tools.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    (checkout / "pyproject.toml").touch()
    (checkout / ".venv" / ".robust-supernet").touch()
    for tool in ("pip", "python"):
        (tools / tool).write_text('#!/bin/sh\necho "$PATH" >> path.txt\n')
        (tools / tool).chmod(0o755)
    environment = {**os.environ, "MAKEFLAGS": ""}
    subprocess.run(["make", "native"], cwd=checkout, env=environment, check=True)
    first = (checkout / "path.txt").read_text().splitlines()[0]
    assert first.startswith(f"{tools}:")
    assert not list(tmp_path.rglob("owned"))
