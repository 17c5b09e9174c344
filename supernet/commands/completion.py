"""Print the shell's completion of robust-supernet: its commands, their flags, and files.

    robust-supernet completion bash > ~/.local/share/bash-completion/completions/robust-supernet
    robust-supernet completion zsh > ~/.zfunc/_robust-supernet

A new shell has it then. Needs shtab: pip install shtab.
"""

import argparse
import importlib
from typing import Any

from supernet import cli
from supernet.commands.table import COMMANDS
from supernet.errors import UserError
from supernet.invocation import PROGRAM

SHELLS = ("bash", "zsh", "tcsh")


def main() -> None:
    """Parse, print."""
    arguments = _parser().parse_args()
    try:
        import shtab
    except ImportError as error:
        raise UserError("completion needs shtab, which is missing: pip install shtab") from error
    print(shtab.complete(whole_parser(), shell=arguments.shell))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument("shell", choices=SHELLS, help="the shell to print it for")
    return parser


def whole_parser() -> argparse.ArgumentParser:
    """One parser with every command below it, none of which imports torch."""

    def made(command: str, **_: Any) -> argparse.ArgumentParser:
        module = importlib.import_module(f"supernet.commands.{command}")
        parser: argparse.ArgumentParser = module._parser()
        return parser

    whole = argparse.ArgumentParser(prog=PROGRAM)
    whole.add_argument("--version", action="store_true", help="show the version")
    commands: Any = whole.add_subparsers(metavar="COMMAND", parser_class=made)  # type: ignore
    for name, words in COMMANDS.items():
        commands.add_parser(name, help=words, command=name)
    return whole
