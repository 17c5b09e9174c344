"""The program robust-supernet: its help, its names, and that every command has both doors."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from supernet import invocation
from supernet.commands import program
from supernet.commands.table import COMMANDS

ROOT = Path(__file__).parents[3]


def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "supernet", *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_and_a_script(name: str) -> None:
    module = importlib.import_module(f"supernet.commands.{name}")
    assert callable(module.main) and module._parser().prog
    door = (ROOT / "scripts" / f"{name}.py").read_text()
    assert f'run_command("{name}")' in door and len(door.splitlines()) < 15


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    done = call(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert all([name, words] in shown for name, words in COMMANDS.items())
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys; sys.argv = ['robust-supernet', '--help']\n"
        "from supernet.commands.program import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'numpy', 'supernet.settings'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_commands_help_is_written_for_the_program() -> None:
    said = call("train", "--help").stdout
    assert said.startswith("usage: python -m supernet train [-h]")
    assert "\n    python -m supernet train --genotype 333133" in said
    assert "scripts/" not in said


def test_an_error_names_the_program() -> None:
    done = call("train", "--epoch", "3")
    assert (done.returncode, done.stdout) == (2, "")
    expected = "error: unrecognized arguments: --epoch 3 (see python -m supernet train --help)\n"
    assert done.stderr == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [("serch", "did you mean search"), ("--verbose", "choose from"), ("xyzzy", "choose from")],
)
def test_an_unknown_command_is_one_sentence(name: str, hint: str) -> None:
    done = call(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: '{name}' is no command; {hint}")
    assert done.stderr.endswith("(see robust-supernet --help)\n")


def test_version_says_which_code_runs() -> None:
    said = call("--version").stdout
    assert said.startswith("robust-supernet ") and said.endswith(f"({ROOT})\n")


def test_a_command_is_run_with_its_own_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/robust-supernet", "train", "--seed", "a b"])
    monkeypatch.setattr(invocation, "_entered", None)
    seen = []
    monkeypatch.setattr("supernet.commands.train.main", lambda: seen.append(sys.argv[1:]))
    program._main()
    assert seen == [["--seed", "a b"]]
    assert invocation.command_line() == "robust-supernet train --seed 'a b'"
