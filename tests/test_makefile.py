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


ODD = ["a b", "a$(touch owned)", "$(shell touch owned)", "a`touch owned`", "a;touch owned", "it's",
       'a"b', "a#b", "a*", "a\\b", "$HOME"]  # fmt: skip


@pytest.mark.parametrize("given", ["argument", "environment"])
@pytest.mark.parametrize("name", ODD)
def test_python_may_have_any_name(tmp_path: Path, name: str, given: str) -> None:
    """It makes the environment; where there is none it does the work. Its name runs nothing."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "bin" / name
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@" >> calls.txt\n')
    python.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    text = str(python)
    # `make test` starts a second make, which gets the name from the first.
    for goal, last in (
        (".venv/bin/pip", "-m venv .venv"), ("check", "-m pytest"), ("test", "-m pytest"),
    ):  # fmt: skip
        venv = ["VENV="] if goal != ".venv/bin/pip" else []
        arguments = [f"PYTHON={text}"] if given == "argument" else []
        done = subprocess.run(
            ["make", goal, *venv, *arguments], cwd=tmp_path, capture_output=True, text=True,
            env=inherited if arguments else {**inherited, "PYTHON": text},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert last in (tmp_path / "calls.txt").read_text().splitlines()[-1]
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("name", ["no such", "$(shell touch owned)", "a`touch owned`", "it's"])
def test_a_python_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    done = subprocess.run(
        ["make", "search", f"PYTHON={name}"], cwd=tmp_path, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))},
    )  # fmt: skip
    assert done.returncode == 2 and f"make: there is no '{name}'; install" in done.stderr
    assert not list(tmp_path.rglob("owned"))


def test_a_python_of_the_home_folder_is_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "my python").write_text("#!/bin/sh\ntouch called\n")
    (tmp_path / "my python").chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(
        ["make", ".venv/bin/pip", "PYTHON=~/my python"], cwd=tmp_path, check=True,
        env={**environment, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (tmp_path / "called").exists()
