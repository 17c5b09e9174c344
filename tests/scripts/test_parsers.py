"""What holds for the command line of every script and every command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.noise import write_noise
from tests.scripts.inprocess import ROOT

HELP_OF_ALL = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("scripts").glob("*.py")):
    door = pathlib.Path("supernet/commands", path.name).is_file()
    package = "supernet.commands" if door else "scripts"
    help = importlib.import_module(f"{package}.{path.stem}")._parser().format_help()
    slow = {"torch", "scipy", "sklearn", "matplotlib", "pymoo", "moocore"} & set(sys.modules)
    if slow or not help.startswith("usage: "):  # no assert: python -OO leaves them out
        sys.exit(f"{path}: imports {slow or None}, help {help[:40]!r}")
    print(path.stem)
"""
RUN_ALL = """
import json, runpy, sys
def run(script, *flags):
    sys.argv = [f"{root}/scripts/{script}.py", *flags]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        print(json.dumps([script, end.code]), file=sys.stderr, flush=True)
root = sys.argv[1]
if __debug__ or run.__doc__:
    sys.exit("this Python does not leave asserts out")
small = ["--dataset", "digits", "--limit", "64", "--C", "2", "--N", "1", "--probe-images", "16"]
run("search", "--robust", *small, "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "16",
    "--attack", "fgsm", "--refine-moves", "0", "--proposals", "supernet", "--out", "run", "--quiet")
run("report", "run")
run("train", "--genotype", "run", *small, "--epochs", "1", "--batch-size", "16", "--attack", "fgsm",
    "--out", "net", "--quiet")
run("evaluate", "--model", "net", "--limit", "20", "--attacks", "clean,fgsm", "--quiet")
run("export", "--model", "net", "--formats", "safetensors")
run("rank", "--proxies", "snip,params", "--cells", "8", "--dataset", "digits", "--out", "rk",
    "--bootstrap", "10", "--quiet")
run("benchmark", "query", "333133")
run("make_pack", "pictures", "p.npz", "--side", "8")
run("train", "--genotype", "33313", "--dataset", "digits")
"""


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-OO"]])
def test_no_help_waits_for_torch(flags: list[str]) -> None:
    """A parser imports nothing that takes a second, so that a typo is answered at once.

    With -OO there are neither docstrings nor asserts: the help has its flags all the same.
    """
    done = subprocess.run(
        [sys.executable, *flags, "-c", HELP_OF_ALL], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {"search", "train", "evaluate", "rank", "benchmark"} <= set(done.stdout.split())


@pytest.mark.slow
def test_commands_run_without_docstrings_and_asserts(tmp_path: Path) -> None:
    """One process for all of them: importing torch takes seconds."""
    write_noise(tmp_path / "pictures", 6)
    done = subprocess.run(
        [sys.executable, "-OO", "-c", RUN_ALL, str(ROOT)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    ends = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('["')]
    assert [end for end in ends if end[1]] == [["train", 2]], done.stderr
    assert len(ends) == 9 and "Traceback" not in done.stderr
    for file in ("run/report.html", "net/evaluation.json", "net/export/README.md", "p.npz"):
        assert (tmp_path / file).is_file(), file
