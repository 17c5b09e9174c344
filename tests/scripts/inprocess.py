"""Run a script's command line inside the test's process: importing torch anew takes seconds."""

import contextlib
import io
import os
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """What `subprocess.run` would say of it."""

    returncode: int
    stdout: str
    stderr: str


def run_script(script: str, *arguments: str, cwd: Path) -> Done:
    """`python scripts/SCRIPT ARGUMENTS` in the folder cwd."""
    out, err, before, argv, path = io.StringIO(), io.StringIO(), os.getcwd(), sys.argv, sys.path[:]
    status = 0
    try:
        os.chdir(cwd)
        sys.argv = [str(ROOT / "scripts" / script), *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        os.chdir(before)
        sys.argv, sys.path[:] = argv, path
    return Done(status, out.getvalue(), err.getvalue())
