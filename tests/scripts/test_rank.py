"""scripts/rank.py as users call it: exit status, one sentence, resuming after SIGKILL."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "rank.py"


def _command(root: Path, out: Path, *flags: str) -> list[str]:
    quick = ["--dataset", "digits", "--cells", "14", "--C", "4", "--N", "1", "--batch", "4"]
    quick += ["--proxies", "gradnorm,croze", "--bootstrap", "20", "--no-verify", "--device", "cpu"]
    quick += ["--columns", "pgd_8"]
    where = ["--data-root", str(root), "--out", str(out)]
    return [sys.executable, str(SCRIPT), *quick, *where, *flags]


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_killed_or_interrupted_it_resumes_to_the_same_file(
    invented_root: Path, tmp_path: Path
) -> None:
    whole = _call(_command(invented_root, tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    assert "## pgd_8" in whole.stdout and "14 cells to score, about" in whole.stderr
    scores = tmp_path / "cut" / "scores.jsonl"
    command = _command(invented_root, tmp_path / "cut")
    for number, (kill, status) in enumerate(((signal.SIGKILL, -9), (signal.SIGINT, 2)), start=1):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        while process.poll() is None and not (
            scores.exists() and scores.read_bytes().count(b"\n") >= 2 * number
        ):
            time.sleep(0.005)
        process.send_signal(kill)
        _, error = process.communicate()
        # On a fast machine the last cells may be done before the signal arrives.
        if process.returncode != 0:
            assert process.returncode == status
            if status == 2:
                assert b"error: interrupted with" in error and b"goes on from there" in error
                assert b"Traceback" not in error
    assert _call(command).returncode == 0
    for name in ("scores.jsonl", "ranking.json", "ranking.md"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--attack", "cw"], "--attack 'cw' is unknown; choose one of fgsm"),
        (["--cells", "many"], "--cells: 'many' is not a whole number; write for example 300"),
        (["--proxies", "zen"], "unknown score 'zen'; choose from params"),
    ],
)
def test_bad_input_is_one_sentence(
    invented_root: Path, tmp_path: Path, flags: list[str], sentence: str
) -> None:
    done = _call(_command(invented_root, tmp_path / "out", *flags))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and sentence in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_shows_defaults_without_torch() -> None:
    done = _call([sys.executable, str(SCRIPT), "--help"])
    assert done.returncode == 0
    assert "--top-cells" in done.stdout and "Default: 300." in done.stdout
