"""One process per folder: who holds it is said, and the kernel frees it however its holder ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.runs import lock
from supernet.runs.lock import locked

HOLDER = """
import sys
from pathlib import Path
from supernet.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_is_told_who_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/search.py", "--out", "a b"])
    with locked(tmp_path):
        message = rf"{tmp_path} is in use by process {os.getpid()} on .* since .*"
        message += r"\(python scripts/search.py --out 'a b'\).*wait until it has ended"
        with pytest.raises(UserError, match=message), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match=f"process {holder.pid} on"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_folders_are_locked_one_by_one(tmp_path: Path) -> None:
    with locked(tmp_path), locked(tmp_path / "seed-0"):
        pass


def test_what_a_holder_wrote_is_shown_as_one_short_line(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / ".lock").write_bytes(b"a\nb\x1b[2J\xff" + b"c" * 5000)
        with pytest.raises(UserError) as raised, locked(tmp_path):
            pass
    assert "ab[2J" in str(raised.value) and len(str(raised.value)) < 1500
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), locked(tmp_path):  # the command line names the path
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with locked(tmp_path):
        assert "cannot be locked (Operation not supported)" in capsys.readouterr().err
