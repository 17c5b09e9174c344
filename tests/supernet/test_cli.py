"""Command lines: errors as one sentence with the right status."""

import subprocess
import sys
from pathlib import Path

import pytest

from supernet import cli
from supernet.errors import UserError


def test_run_turns_a_user_error_into_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("the cupboard is bare; fill it")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: the cupboard is bare; fill it\n"


def test_run_ends_well_after_success_and_keeps_other_tracebacks() -> None:
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: None)
    assert stop.value.code == 0

    def broken() -> None:
        raise ValueError("our own fault")

    with pytest.raises(ValueError, match="our own fault"):
        cli.run(broken)


def test_interrupts_have_their_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt("stopped; go on with --resume")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 130
    assert "go on with --resume" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "absent" / "file"
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: path.write_text("x") and None)
    assert stop.value.code == 2
    reason = "No such file or directory; check the path, its rights and the disk"
    assert capsys.readouterr().err == f"error: {path}: {reason}\n"

    def nameless() -> None:
        raise OSError("of another kind")

    with pytest.raises(OSError, match="of another kind"):
        cli.run(nameless)


def test_a_reader_that_has_seen_enough_ends_the_command_quietly() -> None:
    code = "from supernet import cli; cli.run(lambda: print('line\\n' * 10**6))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()
