#!/usr/bin/env python3
"""Say whether another commit's search gives the same alpha as this checkout's, bit for bit.

    python scripts/same_search.py HEAD~3
    python scripts/same_search.py v0.1.0 --flags "--robust --seed 3 --epochs 4"

The proof rule of CONTRIBUTING.md as a command: both search with the same flags, one after the
other, the other commit in a temporary clone without compiled kernels. Ends with status 1 where
alpha or the edge weights differ.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "--robust --seed 3 --epochs 4"
COMPARED = ("alpha", "edge_weights")
SUPERNET_ALONE = ["--proposals", "supernet", "--refine-moves", "0"]
"""Alpha does not depend on the short trainings that follow; earlier commits have none."""


def main() -> None:
    """Clone, search twice, compare, print."""
    arguments = _parser().parse_args()
    flags = [*shlex.split(arguments.flags), "--impl", "batched", "--device", "cpu", "--quiet"]
    with tempfile.TemporaryDirectory(prefix="same-search-") as name:
        folder = Path(name)
        other = _clone(arguments.commit, folder / "other")
        there = _search(other, flags, folder / "there")
        here = _search(ROOT, flags, folder / "here")
    different = [field for field in COMPARED if there[field] != here[field]]
    for field in COMPARED:
        print(f"{field}: {'different' if field in different else 'the same, bit for bit'}")
    print(f"cell: {there['code']} -> {here['code']}")
    if different:
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument("commit", help="What to compare with: a commit, branch or tag.")
    parser.add_argument("--flags", default=FLAGS, help=f"Of both searches. Default: '{FLAGS}'.")
    return parser


def _clone(commit: str, folder: Path) -> Path:
    # The clone has no branches of its own: there a branch's name would be taken for a new one.
    known = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]
    found = subprocess.run(known, capture_output=True, text=True).stdout.strip() or commit
    for command in (
        ["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(folder)],
        ["git", "-C", str(folder), "checkout", "--quiet", "--detach", found],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["git failed"])[-1]
            raise UserError(f"commit '{commit}' cannot be checked out ({reason}); name another")
    return folder


def _search(root: Path, flags: list[str], out: Path) -> dict[str, Any]:
    """genotype.json of a search by the code under `root`."""
    config = (root / "supernet" / "search" / "config.py").read_text(encoding="utf-8")
    alone = SUPERNET_ALONE if "refine_moves" in config else []
    script = str(root / "scripts" / "search.py")
    command = [sys.executable, script, *flags, *alone, "--out", str(out)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the search of {root} failed: {done.stderr.strip()}")
    record: dict[str, Any] = json.loads((out / "genotype.json").read_text(encoding="utf-8"))
    return record


if __name__ == "__main__":
    cli.run(main)
