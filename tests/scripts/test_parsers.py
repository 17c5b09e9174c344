"""What holds for the command line of every script and every command."""

import subprocess
import sys

from tests.scripts.inprocess import ROOT

HELP_OF_ALL = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("scripts").glob("*.py")):
    door = pathlib.Path("supernet/commands", path.name).is_file()
    package = "supernet.commands" if door else "scripts"
    help = importlib.import_module(f"{package}.{path.stem}")._parser().format_help()
    assert help.startswith("usage: "), path
    slow = {"torch", "scipy", "sklearn", "matplotlib", "pymoo", "moocore"} & set(sys.modules)
    assert not slow, f"{path} imports {slow}"
    print(path.stem)
"""


def test_no_help_waits_for_torch() -> None:
    """A parser imports nothing that takes a second, so that a typo is answered at once."""
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {"search", "train", "evaluate", "rank", "benchmark"} <= set(done.stdout.split())
