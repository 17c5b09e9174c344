"""What a message tells the user to type, for each way in which a command is started."""

import subprocess
import sys
from pathlib import Path

import pytest

from supernet import invocation

ROOT = Path(__file__).parents[2]


def started(monkeypatch: pytest.MonkeyPatch, *argv: str, entered: str | None = None) -> None:
    monkeypatch.setattr(sys, "argv", list(argv))
    monkeypatch.setattr(invocation, "_entered", entered)


def test_a_script_tells_of_scripts_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, f"{ROOT}/scripts/search.py", "--out", "a b")
    assert invocation.command("train") == f"python {ROOT}/scripts/train.py"
    assert invocation.command("data pack") == f"python {ROOT}/scripts/data.py pack"
    assert invocation.named("train") == f"{ROOT}/scripts/train.py"
    assert invocation.command_line() == f"python {ROOT}/scripts/search.py --out 'a b'"
    assert invocation.usage_name() is None
    monkeypatch.chdir(ROOT / "docs")
    started(monkeypatch, "../scripts/search.py")
    assert invocation.command("train") == "python ../scripts/train.py"


def test_a_folder_with_a_space_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "scripts").symlink_to(ROOT / "scripts")
    started(monkeypatch, str(tmp_path / "a b" / "scripts" / "search.py"))
    assert invocation.command("train") == f"python '{tmp_path}/a b/scripts/train.py'"


def test_the_installed_program_tells_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "/usr/bin/robust-supernet", "--robust", entered="search")
    assert invocation.command("train") == invocation.named("train") == "robust-supernet train"
    assert invocation.command_line() == "robust-supernet search --robust"
    assert invocation.usage_name() == "robust-supernet search"


def test_the_package_as_a_program_tells_of_that(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, f"{ROOT}/supernet/__main__.py", "--robust", entered="search")
    assert invocation.command("train") == "python -m supernet train"


def test_without_a_command_the_checkout_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started(monkeypatch, "/usr/bin/pytest", "x")
    assert invocation.command("train") == "python scripts/train.py"
    monkeypatch.setattr(invocation, "ROOT", tmp_path)  # installed: no scripts beside the package
    assert invocation.command("train") == "robust-supernet train"
    assert invocation.process("train") == [sys.executable, "-m", "supernet", "train"]


@pytest.mark.slow
def test_a_process_of_its_own_starts_from_any_folder(tmp_path: Path) -> None:
    command = [*invocation.process("report"), "absent"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "absent" in done.stderr


def test_examples_are_shown_as_the_command_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "robust-supernet", entered="search")
    text = "Try:\n\n    python scripts/train.py --seed 1\n    python other/x.py\n"
    assert invocation.as_started(text) == (
        "Try:\n\n    robust-supernet train --seed 1\n    python other/x.py\n"
    )
