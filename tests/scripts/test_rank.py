"""scripts/rank.py as users call it: exit status, one sentence, resuming after SIGKILL."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.scripts.inprocess import ROOT, run_script


def _flags(root: Path, out: Path, *flags: str) -> list[str]:
    quick = ["--dataset", "digits", "--cells", "14", "--C", "4", "--N", "1", "--batch", "4"]
    quick += ["--proxies", "gradnorm,croze", "--bootstrap", "20", "--no-verify", "--device", "cpu"]
    quick += ["--columns", "pgd_8"]
    where = ["--data-root", str(root), "--out", str(out)]
    return [*quick, *where, *flags]


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_killed_it_resumes_to_the_same_file(invented_root: Path, tmp_path: Path) -> None:
    whole = run_script("rank.py", *_flags(invented_root, tmp_path / "whole"), cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "## pgd_8" in whole.stdout and "14 cells to score, about" in whole.stderr
    scores, flags = tmp_path / "cut" / "scores.jsonl", _flags(invented_root, tmp_path / "cut")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "rank.py"), *flags],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not (scores.exists() and b"\n" in scores.read_bytes()):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed = run_script("rank.py", *flags, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("scores.jsonl", "ranking.json", "ranking.md"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--attack", "cw"], "--attack 'cw' is unknown; choose one of fgsm"),
        (["--cells", "many"], "--cells: 'many' is not a whole number; write for example 300"),
        (["--proxies", "zen"], "unknown score 'zen'; choose from params"),
        (["--curve", "absent"], "cannot read absent/ranking.json"),
        (["--spectrum", "333133,33x"], "33x"),
    ],
)
def test_bad_input_is_one_sentence(
    invented_root: Path, tmp_path: Path, flags: list[str], sentence: str
) -> None:
    done = run_script("rank.py", *_flags(invented_root, tmp_path / "out", *flags), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and sentence in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_pictures")
def test_spectra_are_drawn_instead(invented_root: Path, tmp_path: Path) -> None:
    flags = _flags(invented_root, tmp_path / "out", "--spectrum", "333133,111111")
    done = run_script("rank.py", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "spectrum") in done.stdout
    assert list(json.loads((tmp_path / "out" / "spectrum.json").read_text())["cells"]) == [
        "333133",
        "111111",
    ]


def test_help_shows_defaults(tmp_path: Path) -> None:
    done = run_script("rank.py", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--top-cells" in done.stdout and "Default: 300." in done.stdout
