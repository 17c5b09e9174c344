"""Command lines: flags generated from a config dataclass, and errors as one sentence.

Nothing here imports torch, so that a command's `--help` is instant.
"""

import argparse
import ast
import dataclasses
import inspect
import itertools
import os
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from supernet.errors import UserError
from supernet.text import amount

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
    except BrokenPipeError:  # an OSError, and no fault of anyone
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
        raise UserError(f"{message} (see {self.prog} --help)")


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


def fraction(text: str) -> float:
    """Read `8/255`, `0.03`, `1e-3` or an amount with a unit, `0.8M`."""
    if text[-1:] in tuple("kKmMgG"):
        return _amount(text)
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no number; write 0.03 or 8/255") from error


def _amount(text: str) -> float:
    try:
        return amount(text)
    except UserError as error:  # a ValueError, in place of which argparse writes its own words
        raise argparse.ArgumentTypeError(str(error)) from error


def field_docs(config: type) -> dict[str, str]:
    """The string literal under each field of a dataclass: its documentation."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(config)))
    body = typing.cast(ast.ClassDef, tree.body[0]).body
    docs: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            docs[field.target.id] = inspect.cleandoc(str(text.value.value))
    return docs


def add_config_flags(
    parser: argparse.ArgumentParser, config: type, *, skip: Iterable[str] = ()
) -> None:
    """One flag per field: `--eps 8/255`, `--seeds 0,1,2`, `--derive-score / --no-derive-score`.

    Flags default to "not given", so that a preset may fill what the user left open; the help shows
    the dataclass's default. A field documented with "Choices: a, b." still validates in the config.
    """
    hints = typing.get_type_hints(config)
    docs = field_docs(config)
    for field in dataclasses.fields(config):
        if field.name in skip:
            continue
        kind, _ = _strip_none(hints[field.name])
        text = f"{docs.get(field.name, '')} Default: {_show(field.default)}.".replace("%", "%%")
        flag = "--" + field.name.replace("_", "-")
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": " ".join(text.split())}
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
        elif typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            parser.add_argument(flag, type=_list_of(item), metavar="A,B,..", **options)
        else:
            reader = fraction if kind is float else kind
            parser.add_argument(flag, type=reader, metavar=kind.__name__.upper(), **options)


def given_flags(arguments: argparse.Namespace, config: type) -> dict[str, Any]:
    """The config fields that the user named on the command line."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def _list_of(item: type) -> Callable[[str], tuple[Any, ...]]:
    def read(text: str) -> tuple[Any, ...]:
        return tuple(item(part) for part in text.split(",") if part)

    read.__name__ = f"comma-separated list of {item.__name__}"
    return read


def _strip_none(hint: Any) -> tuple[Any, bool]:
    """`int | None` -> (int, True)."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        assert len(kinds) == 1, f"a flag has one type, not {hint}"
        return kinds[0], True
    return hint, False


def _show(value: Any) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):  # before the numbers: True == 1
        return "on" if value else "off"
    if isinstance(value, float) and value not in (0.0, 1.0) and abs(value * 255 % 1) < 1e-9:
        return f"{value * 255:.0f}/255"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return str(value)
