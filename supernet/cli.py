"""Runs command lines: an error becomes one sentence with the right exit status.

Nothing here imports torch, so that a command's `--help` is instant. `supernet.flags` makes flags of
a config.
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from supernet.errors import UserError

USER_ERROR = 2
INTERRUPTED = 130


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command's main and end the process.

    UserError: its sentence on standard error, status 2. Ctrl-C: status 130. A reader that closed
    the pipe (`| head`) ends the command quietly. Anything else keeps its traceback.
    """
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # an OSError, and nobody's fault
        # Python would complain once more when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            raise
        reason = f"{error.filename}: {error.strerror}; check the path, its rights and the disk"
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(USER_ERROR)
    sys.exit(0)


class _OneSentenceParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        given = sys.argv[1:] if args is None else list(args)
        for text in given:
            if text.startswith("--") and text.endswith("=--"):
                # argparse of Python before 3.12.5 takes the value away and then misses it.
                self.error(f"{text.removesuffix('=--')}: expected one argument")
        return super().parse_known_args(given, namespace)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def argument_parser(description: str, **kwargs: Any) -> argparse.ArgumentParser:
    """An ArgumentParser whose errors are UserErrors and whose help keeps the text's line breaks."""
    return _OneSentenceParser(
        description=textwrap.dedent(description).strip(),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
        **kwargs,
    )
