"""Bars on a terminal, plain lines without one, nothing with --quiet."""

import fcntl
import io
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from supernet import progress
from supernet.progress import Progress, say_without_terminal, with_progress
from supernet.quiet import hushed, is_quiet
from tests.test_imports import imported

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys, time
from supernet import progress
progress.WAIT_SECONDS = float(sys.argv[1])
for _ in progress.with_progress(range(8), "gains", "batch", quiet="quiet" in sys.argv):
    time.sleep(0.05)
progress.say_without_terminal("gains: done", quiet="quiet" in sys.argv)
"""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(*arguments: str) -> str:
    """All that PROGRAM writes on a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        said += part
    os.close(ours)
    assert process.wait() == 0
    return said.decode()


@pytest.mark.slow
def test_a_terminal_shows_a_bar_with_the_time_left() -> None:
    said = on_a_terminal("0.1")
    assert "\rgains:" in said and "/8 [00:00<00:00" in said and "batch/s" in said
    assert "gains: done" not in said


@pytest.mark.slow
def test_a_step_that_ends_soon_shows_no_bar() -> None:
    assert "batch" not in on_a_terminal("60")


def test_a_step_of_nothing_shows_no_bar() -> None:
    with Progress("search", 0, "step", file=_Terminal()) as bar:
        assert bar.disable
    with Progress("search", 1, "step", file=_Terminal()) as bar:
        assert not bar.disable


@pytest.mark.slow
def test_quiet_shows_nothing_on_a_terminal() -> None:
    assert on_a_terminal("0.1", "quiet") == ""


@pytest.mark.slow
def test_a_log_file_has_plain_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "0"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "gains: done\n")


def test_a_line_a_minute_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("refine", 1000, "step", initial=200) as bar:
        for seconds, more in ((59.0, 100), (30.0, 100), (30.0, 100), (31.0, 100)):
            now[0] += seconds
            bar.update(more)
    said = capsys.readouterr().err
    # After 89 s 200 of the 800 that were left are done, after 150 s 400.
    assert (
        said == "refine: 400 of 1,000 steps, 04:27 left\nrefine: 600 of 1,000 steps, 02:30 left\n"
    )


def test_quiet_says_nothing_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert list(with_progress("abc", "rank", "cell", quiet=True)) == ["a", "b", "c"]
    say_without_terminal("a line", quiet=True)
    assert capsys.readouterr().err == ""
    list(with_progress("abc", "rank", "cell"))
    assert "rank: 3 of 3 cells\n" in capsys.readouterr().err


def test_a_total_may_be_unknown_or_change_and_units_have_their_plural(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("compiling", None, "file") as bar:
        now[0] += 60
        bar.update(2)
    with Progress("AutoAttack", 1000, "pass", unit_scale=True) as bar:
        now[0] += 60
        bar.update(250)
        assert bar.n == 250
        bar.total = 500
        now[0] += 60
        bar.update(0)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "compiling: 2 files", "AutoAttack: 250 of 1,000 passes, 03:00 left",
        "AutoAttack: 250 of 500 passes, 02:00 left",
    ]  # fmt: skip


def test_a_quiet_command_hushes_what_it_calls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with hushed(), hushed(False):
        assert is_quiet()
        assert list(with_progress(iter("abc"), "reading", "picture", total=3)) == ["a", "b", "c"]
        say_without_terminal("a line")
    assert capsys.readouterr().err == ""
    with hushed(False):
        assert not is_quiet()
        list(with_progress(iter("abc"), "reading", "picture", total=3))
        say_without_terminal("a line")
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "reading: 3 of 3 pictures", "a line"
    ]  # fmt: skip


@pytest.mark.slow
def test_every_bar_is_made_here() -> None:
    files = [
        path for room in ("supernet", "ops", "scripts") for path in (ROOT / room).rglob("*.py")
    ]
    users = {path.relative_to(ROOT).as_posix() for path in files if "tqdm.tqdm" in imported(path)}
    assert users == {"supernet/progress.py"}
