"""The program robust-supernet: finds a command and runs it. Its help imports no command."""

import difflib
import importlib
import sys
from typing import NoReturn

from supernet import cli, invocation
from supernet.commands.table import COMMANDS, GROUPS
from supernet.errors import UserError

DESCRIPTION = """
Robust neural architecture search: one adversarially trained supernet, judged on NAS-RobBench-201.

    robust-supernet search --robust         a search on the embedded digits, on two CPU cores
    robust-supernet COMMAND --help          what a command does, and its flags
"""


def main() -> NoReturn:
    """The installed command."""
    cli.run(_main)


def run_command(name: str) -> NoReturn:
    """Run a command whose flags are the whole command line, as a script in scripts/ does."""
    cli.run(lambda: _call(name))


def _main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        invocation.enter(name)
        _call(name)
    elif name in ("-h", "--help", "help"):
        print(overview())
    elif name == "--version":
        print(version())
    else:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}" if near else f"choose from {', '.join(COMMANDS)}"
        raise UserError(f"'{name}' is no command; {hint} (see {invocation.PROGRAM} --help)")


def _call(name: str) -> None:
    importlib.import_module(f"supernet.commands.{name}").main()


def overview() -> str:
    """The help: all commands, by group."""
    width = max(map(len, COMMANDS))
    lines = ["usage: robust-supernet COMMAND ...", DESCRIPTION.rstrip()]
    for title, commands in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:{width}}  {words}" for name, words in commands.items()]
    lines += ["", "options:", f"  {'--help':{width}}  show this text"]
    lines += [f"  {'--version':{width}}  show the version, and where the program lies"]
    return "\n".join(lines)


def version() -> str:
    """The name and version of the installed package; `unknown` in a checkout that is none."""
    from importlib import metadata

    try:
        number = metadata.version(invocation.PROGRAM)
    except metadata.PackageNotFoundError:
        number = "unknown (not installed)"
    return f"{invocation.PROGRAM} {number} ({invocation.ROOT})"
