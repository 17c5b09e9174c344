"""Command lines: errors as one sentence with the right status."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from supernet import cli
from supernet.errors import UserError
from supernet.quiet import is_quiet

ROOT = Path(__file__).parents[2]


def test_run_turns_a_user_error_into_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("the cupboard is bare; fill it")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: the cupboard is bare; fill it\n"


def test_of_several_processes_the_first_has_time_to_speak(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun ends the others when one has ended, so that a hasty one would silence it."""
    waits: list[float] = []

    def main() -> None:
        raise UserError("the flags are wrong")

    def said_after(rank: str) -> list[float]:
        monkeypatch.setenv("RANK", rank)
        waits.clear()
        with monkeypatch.context() as patched:
            patched.delitem(sys.modules, "torch", raising=False)  # as while flags are read
            with pytest.raises(SystemExit):
                cli.run(main)
        assert capsys.readouterr().err == "error: the flags are wrong\n"
        return list(waits)

    monkeypatch.setattr(cli.time, "sleep", waits.append)
    assert said_after("1") == []
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert said_after("0") == []
    assert said_after("1") == [cli.FIRST_SPEAKS]


def test_an_error_does_not_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("a class of p.npz is called \x1b[2J\x07; rename it\nor leave it out")

    with pytest.raises(SystemExit):
        cli.run(main)
    said = capsys.readouterr().err
    assert said == "error: a class of p.npz is called \\x1b[2J\\x07; rename it\nor leave it out\n"


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
        [sys.executable, "-c", code], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()


def test_a_broken_pipe_of_ours_keeps_its_traceback() -> None:
    def main() -> None:
        raise BrokenPipeError("of a worker")

    with pytest.raises(BrokenPipeError, match="of a worker"):
        cli.run(main)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 5 bytes"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."),
    ],
)
def test_too_little_memory_is_one_sentence(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the memory does not suffice; ") and said.count("\n") == 1


def test_the_logs_thread_leaves_a_full_disk_to_the_next_write(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(error: Exception) -> None:
        raise error

    before = threading.excepthook
    try:
        with pytest.raises(SystemExit):
            cli.run(lambda: None)
        for error in (OSError(28, "No space left on device"), ValueError("our own fault")):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()
    finally:
        threading.excepthook = before
    said = capsys.readouterr().err
    assert "our own fault" in said and "No space" not in said


# Standard streams -----------------------------------------------------------------------------

PROGRAM = """
import sys
from supernet import cli
from supernet.errors import UserError

def main():
    if "help" in sys.argv:
        cli.argument_parser("Help.").parse_args(["--help"])
    with open(FILE, "w") as stream:
        assert stream.fileno() > 2, "it has the number of a standard stream"
        print("printed" * (10_000 if "long" in sys.argv else 1))
        stream.write("whole")
    if "bad" in sys.argv:
        raise UserError("the cupboard is bare; fill it")

cli.run(main)
"""


def shell(tmp_path: Path, redirections: str, argument: str = "") -> tuple[int, str, str]:
    """Status, standard output and standard error of PROGRAM."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("FILE", repr(str(tmp_path / "file"))))
    done = subprocess.run(
        ["sh", "-c", f'"$0" "$1" {argument} {redirections}', sys.executable, str(program)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_end_no_run(tmp_path: Path, redirections: str) -> None:
    status, out, err = shell(tmp_path, redirections)
    assert (status, err) == (0, "")
    assert out == ("" if ">&-" in redirections.replace("2>&-", "") else "printed\n")
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", ">&- 2>&-"])
def test_an_error_that_cannot_be_said_keeps_its_status(tmp_path: Path, redirections: str) -> None:
    assert shell(tmp_path, redirections, "bad")[0] == 2


@pytest.mark.parametrize("argument", ["", "long", "help"])
def test_a_full_standard_output_is_one_sentence(tmp_path: Path, argument: str) -> None:
    status, _, err = shell(tmp_path, ">/dev/full", argument)
    assert status == 2
    assert err == (
        "error: standard output: No space left on device; check the path, its rights and the disk\n"
    )


def test_a_character_that_the_terminal_lacks_is_an_escape() -> None:
    code = "from supernet import cli; cli.run(lambda: print('caf\\xe9 \\u2192 \\udce9'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "caf\\xe9 \\u2192 \\udce9\n")


def test_no_figure_needs_the_backend_of_the_users_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "windows-of-the-user")
    with pytest.raises(SystemExit):
        cli.run(lambda: None)
    assert os.environ["MPLBACKEND"] == "agg"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["search", "train", "evaluate", "rank", "evidence", "benchmark"])
def test_help_without_docstrings(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-OO", str(ROOT / "scripts" / f"{script}.py"), "--help"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {script}.py")


# Arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--out", ""], "--out"),
        (["--out", "  "], "--out"),
        (["--out="], "--out"),
        (["a", ""], "an argument"),
        ([""], "an argument"),
    ],
)
def test_an_unset_shell_variable_is_refused(arguments: list[str], name: str) -> None:
    parser = cli.argument_parser("An example.", prog="example.py")
    parser.add_argument("--out")
    parser.add_argument("places", nargs="*")
    message = f"^{name} is empty; give it a value, or leave it out"
    with pytest.raises(UserError, match=message):
        parser.parse_args(arguments)


def test_a_name_that_no_log_can_hold_is_refused() -> None:
    parser = cli.argument_parser("An example.", prog="example.py")
    parser.add_argument("--dataset")
    assert parser.parse_args(["--dataset", "folder:café →"]).dataset == "folder:café →"
    message = r"^folder:caf\udce9 is not UTF-8; rename it, or link to it by such a name"
    with pytest.raises(UserError, match=message):
        parser.parse_args(["--dataset", "folder:caf\udce9"])


def test_quiet_reaches_what_a_command_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for argv in (["search", "--quiet"], ["search"]):
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit):
            cli.run(lambda: seen.append(is_quiet()))
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("--out=~/a=~/b", "/home/me/a=~/b"),
        ("--out=~", "/home/me"),
        ("--out=~me/a", "~me/a"),
        ("--out=a/~/b", "a/~/b"),
        ("--out=a=~/b", "a=~/b"),
    ],
)
def test_a_home_folder_behind_an_equals_sign(
    given: str, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells leave that one to the program."""
    monkeypatch.setenv("HOME", "/home/me")
    parser = cli.argument_parser("An example.", prog="example.py")
    parser.add_argument("--out")
    assert parser.parse_args([given]).out == out
