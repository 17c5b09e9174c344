"""Command-line flags made of the fields of a config dataclass."""

import argparse
import ast
import dataclasses
import functools
import inspect
import itertools
import math
import textwrap
import typing
from collections.abc import Callable, Mapping
from typing import Any

from supernet.errors import UserError
from supernet.settings import Setting, field_kinds, flag_of, setting_of, shown
from supernet.text import amount


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


def add_config_flags(parser: argparse.ArgumentParser, config: type) -> None:
    """One flag per field: `--eps 8/255`, `--seeds 0,1,2`, `--verify / --no-verify`.

    Flags default to "not given", so that a preset may fill the others; the help shows
    the dataclass's default and the choices, under the titles that the fields name as their groups.
    """
    kinds, docs = field_kinds(config), field_docs(config)
    groups: dict[str | None, Any] = {None: parser}
    for field in dataclasses.fields(config):
        allowed, (kind, many, _) = setting_of(field), kinds[field.name]
        if allowed.group not in groups:
            groups[allowed.group] = parser.add_argument_group(allowed.group)
        options: dict[str, Any] = {
            "default": argparse.SUPPRESS, "help": _help(docs[field.name], field.default, allowed),
        }  # fmt: skip
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = "A,B,.." if many else kind.__name__.upper()
            options["type"] = _reader(kind, many, field.default, allowed)
        groups[allowed.group].add_argument(flag_of(field.name), **options)


def given_flags(arguments: argparse.Namespace, config: type) -> dict[str, Any]:
    """The config fields that the user named on the command line."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def preset_help(presets: Mapping[str, Callable[[], Any]], default: str) -> str:
    """The help of --preset: each preset with its own docstring."""
    lines = [f"{name}: {' '.join((make.__doc__ or '').split())}" for name, make in presets.items()]
    words = "Settings to start from; flags given next to it win."
    return " ".join([words, *lines, f"Default: {default}."]).replace("%", "%%")


def fraction(text: str, example: str = "0.03") -> float:
    """Read `8/255`, `0.03`, `1e-3` or an amount with a unit, `0.8M`.

    Raises: ArgumentTypeError, which argparse turns into a sentence, for everything else; also for
            infinity and `nan`.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        if text[-1:] in tuple("kKmMgG"):
            value = amount(text)
        else:
            value = float(numerator) / float(denominator) if slash else float(text)
    except (UserError, ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number; write for example {example}")
    return value


def whole_number(least: int = 0) -> Callable[[str], int]:
    """What reads a flag of a whole number from `least` to below 2^63.

    It raises ArgumentTypeError, which argparse turns into a sentence, for everything else.
    """

    def read(text: str) -> int:
        number = _whole(text, str(least))
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is too small; it must be at least {least}")
        if number >= 2**63:
            raise argparse.ArgumentTypeError(f"{number} is too large; it must be below 2^63")
        return number

    return read


def _whole(text: str, example: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        reason = f"'{text}' is not a whole number; write for example {example}"
        raise argparse.ArgumentTypeError(reason) from error


def _reader(kind: type, many: bool, default: Any, allowed: Setting) -> Callable[[str], Any]:
    """What reads the text of a flag."""
    example = _example(kind, default, allowed)
    reader: Callable[[str], Any] = str
    if kind in (int, float):
        reader = functools.partial(_whole if kind is int else fraction, example=example)
    return functools.partial(_list, reader) if many else reader


def _list(reader: Callable[[str], Any], text: str) -> tuple[Any, ...]:
    return tuple(reader(part.strip()) for part in text.split(",") if part.strip())


def _example(kind: type, default: Any, allowed: Setting) -> str:
    """A value to write: the field's hint, else its default, else its least, else any number."""
    if allowed.hint is not None:
        return allowed.hint
    for value in (default, allowed.least):
        if isinstance(value, (int, float)):
            return shown(value)
    return "1" if kind is int else "0.03"


def _help(doc: str, default: Any, allowed: Setting) -> str:
    choices = f" Choices: {', '.join(allowed.choices)}." if allowed.choices else ""
    text = f"{doc}{choices} Default: {_shown_default(default, allowed)}."
    return " ".join(text.replace("%", "%%").split())


def _shown_default(value: Any, allowed: Setting) -> str:
    if value is None:
        return allowed.none
    if isinstance(value, bool):  # before the numbers: True == 1
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float) and allowed.hint is not None and allowed.hint.endswith("/255"):
        return f"{shown(round(value * 255, 6))}/255"
    return str(value)
