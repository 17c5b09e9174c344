"""The fields of a config: how they are declared, checked, compared and read back from a file.

A config is a frozen dataclass whose fields say themselves what they may be:

    @dataclass(frozen=True, kw_only=True)
    class Config:
        epochs: int = setting(50, least=1, group="training")
        \"\"\"Passes over the training images.\"\"\"

        def __post_init__(self) -> None:
            check_settings(self)

`supernet.flags` makes command-line flags of the same fields. Nothing here imports torch, so that a
command's `--help` is instant.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from supernet.errors import UserError

ATTACK_NAMES = ("fgsm", "fgsm_rs", "n_fgsm", "pgd")
"""The keys of `supernet.attacks.ATTACKS`, which is not imported here: it needs torch."""
TRAIN_ATTACKS = (*ATTACK_NAMES, "none")
"""What a stand-alone training may attack its images with; none trains on clean images."""

TRAIN_DTYPES = ("float32", "bfloat16")
"""What the convolutions of a training may take."""

KINDS: dict[type, str] = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false",
}  # fmt: skip
"""The types that a field may have, alone, in a tuple or with None, and their names."""

PLACES = ("folder:", "pack:")
"""How values begin that name a place of images, as --data-root does: folder:PATH."""
_MOST_SHOWN = 300
"""Characters of a file's content that a message shows."""

Config = TypeVar("Config")
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field says besides its type and default; see `setting`."""

    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    group: str | None = None
    hint: str | None = None
    none: str = "automatic"

    @property
    def bounds(self) -> str:
        """'from 0 to 1', 'above 0 and at most 1', 'at least 1'; empty where there are none."""
        if self.least is not None and self.most is not None:
            return f"from {shown(self.least)} to {shown(self.most)}"
        parts = {"at least": self.least, "above": self.above, "at most": self.most,
                 "below": self.below}  # fmt: skip
        return " and ".join(f"{words} {shown(b)}" for words, b in parts.items() if b is not None)

    def holds(self, value: float) -> bool:
        """Whether a number is within the bounds."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


def setting(
    default: Value,
    *,
    choices: Collection[str] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    group: str | None = None,
    hint: str | None = None,
    none: str = "automatic",
) -> Value:
    """A dataclass field with its default, what it may be, and where `--help` shows it.

    choices: the strings that are allowed.
    least, most, above, below: bounds of a number; the first two are allowed themselves.
    group: the title under which `--help` lists the flag.
    hint: a value to write for example, in the field's unit: 8/255, 0.8M. `--help` shows the
        default in the unit of a hint.

    none: how `--help` shows the default None.

    Of a tuple each item must be so. None is allowed where the type says so.
    """
    details = Setting(choices=tuple(choices), least=least, most=most, above=above, below=below,
                      group=group, hint=hint, none=none)  # fmt: skip
    field: Value = dataclasses.field(default=default, metadata={"setting": details})
    return field


def setting_of(field: "dataclasses.Field[Any]") -> Setting:
    """What a field declares; nothing for a field without `setting`."""
    found: Setting = field.metadata.get("setting", Setting())
    return found


def flag_of(name: str) -> str:
    """batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def field_kinds(config: type) -> dict[str, tuple[type, bool, bool]]:
    """name -> (int, float, str or bool; whether it is a tuple of these; whether it may be None)."""
    found = {}
    for name, hint in typing.get_type_hints(config).items():
        optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
        kinds = [k for k in typing.get_args(hint) if k is not type(None)] if optional else [hint]
        assert len(kinds) == 1, f"a field has one type besides None, not {hint}"
        many = typing.get_origin(kinds[0]) is tuple
        kind = typing.get_args(kinds[0])[0] if many else kinds[0]
        assert kind in KINDS, f"a field is of {', '.join(k.__name__ for k in KINDS)}, not {kind}"
        found[name] = (kind, many, optional)
    return found


def check_settings(config: Any) -> None:
    """Check every field of a config, for its `__post_init__`.

    Raises: UserError naming the flag, its value and what it must be: a value of another type, a
            number out of its bounds, infinite, not a number or beyond 2^63, an unknown choice.
    """
    kinds = field_kinds(type(config))
    for field in dataclasses.fields(config):
        value, (kind, many, optional) = getattr(config, field.name), kinds[field.name]
        if value is None and optional:
            continue
        flag = flag_of(field.name)
        if many and not isinstance(value, tuple):
            raise UserError(f"{flag} is {value!r}; it must be a list")
        for each in value if many else (value,):
            _check(flag, each, kind, setting_of(field))


def _check(flag: str, value: Any, kind: type, allowed: Setting) -> None:
    number = kind in (int, float)
    fitting: Any = (int, float) if kind is float else kind
    if not isinstance(value, fitting) or (number and isinstance(value, bool)):  # True == 1
        raise UserError(f"{flag} is {value!r}; it must be {KINDS[kind]}")
    if allowed.choices:
        choose(flag, value, allowed.choices)
    if not number:
        return
    if isinstance(value, int) and not abs(value) < 2**63:
        raise UserError(f"{flag} is {value}; it must be below 2^63")
    if not math.isfinite(value):
        raise UserError(f"{flag} is {value}; it must be a finite number")
    if not allowed.holds(value):
        example = "" if allowed.hint is None else f" (write for example {allowed.hint})"
        raise UserError(f"{flag} is {shown(value)}; it must be {allowed.bounds}{example}")


def choose(flag: str, value: str, choices: Collection[str]) -> None:
    """Raises: UserError that lists the choices when the value is none of them."""
    if value not in choices:
        raise UserError(f"{flag} '{value}' is unknown; choose one of {', '.join(choices)}")


def shown(number: float) -> str:
    """A number as short as it can be written: 1.0 -> 1."""
    return repr(number).removesuffix(".0")


def from_saved(config: type[Config], values: Any, where: object) -> Config:
    """The config of a saved JSON dictionary; lists become tuples.

    Raises: UserError naming the file (`where`) when it lacks a field, has one that this version
            does not know, or one with a value that this version refuses.
    """
    names = [field.name for field in dataclasses.fields(typing.cast(Any, config))]
    if not isinstance(values, dict):
        raise another_version(where, "it holds no config")
    unknown = [name for name in values if name not in names]
    if unknown:
        raise another_version(where, f"unknown fields {', '.join(unknown)[:_MOST_SHOWN]}")
    missing = [name for name in names if name not in values]
    if missing:
        raise another_version(where, f"no {', '.join(missing)}")
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    try:
        return config(**fields)
    except UserError as error:
        raise another_version(where, str(error)[:_MOST_SHOWN]) from error


def another_version(where: object, reason: str) -> UserError:
    """The error about a file that another version of this package wrote."""
    return UserError(
        f"{where} was written by another version ({reason}); use the version that wrote it, or "
        "start anew"
    )


def without_place(value: Any) -> Any:
    """folder: of folder:PATH, pack: of pack:PATH; any other value as it is."""
    found = [kind for kind in PLACES if isinstance(value, str) and value.startswith(kind)]
    return found[0] if found else value


def differences(saved: Any, given: Mapping[str, Any], *, free: Collection[str] = ()) -> list[str]:
    """Where `given` fields are others than those of the saved config, as `field: 1 -> 2`.

    Fields named in `free` may differ, and so may places (folder:PATH): whoever goes on with a run
    compares the images themselves.
    """
    return [
        f"{name}: {getattr(saved, name)} -> {value}"
        for name, value in given.items()
        if name not in free and without_place(value) != without_place(getattr(saved, name))
    ]


def resumed(
    saved: Config, given: Mapping[str, Any], folder: object, *, free: Collection[str]
) -> Config:
    """The config of a run that goes on: the saved one, with the places and the `free` fields that
    the user named.

    Raises: UserError when the user named another value for any other field.
    """
    changed = differences(saved, given, free=free)
    if changed:
        raise UserError(
            f"{folder} was started with another config ({'; '.join(changed)}); resume it without "
            "these flags, or start a new run with another --out"
        )
    # What is no difference and not free is equal, or a place.
    return typing.cast(Config, dataclasses.replace(typing.cast(Any, saved), **given))
