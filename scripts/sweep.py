#!/usr/bin/env python3
"""The command `sweep` of this checkout; its code is supernet/commands/sweep.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet.commands.program import run_command

if __name__ == "__main__":
    run_command("sweep")
