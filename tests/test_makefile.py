"""What the Makefile hands to the shell."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


VALUES = [
    "a b", "$(shell touch owned)", "$$(touch owned)", "`touch owned`", "a;touch owned",
    "a'b", 'a"b', "a&b", "a(b", "a#b", "a:b", "a%b", "a\\b", "a*",
]  # fmt: skip


@pytest.mark.parametrize("given", ["argument", "environment"])
@pytest.mark.parametrize("value", VALUES)
def test_a_venv_that_make_or_the_shell_would_read_otherwise_is_refused(
    tmp_path: Path, value: str, given: str
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    arguments = [f"VENV={value}"] if given == "argument" else []
    done = subprocess.run(
        ["make", "search", *arguments], cwd=tmp_path, capture_output=True, text=True,
        env=inherited if arguments else {**inherited, "VENV": value},
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "VENV may hold neither spaces nor characters that make or the shell" in line
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


@pytest.mark.parametrize("value", [".venv", "../env-3.12", "/opt/a,b+c@d/~x=y", ""])
def test_other_folders_are_taken(tmp_path: Path, value: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(
        ["make", "-n", "clean", f"VENV={value}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


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
