"""Flags made of a config's fields: what they read, refuse and say in --help."""

from dataclasses import dataclass

import pytest

from supernet import cli
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags, preset_help, whole_number
from supernet.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    eps: float = setting(8 / 255, above=0, most=1, group="attack", hint="8/255")
    """L-inf radius, 50 % of nothing."""
    attack: str = setting("pgd", choices=("pgd", "fgsm"), group="attack")
    """Attack."""
    steps: int | None = setting(None, least=1, group="search")
    """Steps."""
    robust: bool = setting(False, group="search")
    """Robust or not."""
    budgets: tuple[int, ...] = (1, 2)
    """Budgets."""
    weight: float = setting(0.2, least=0)
    """A weight, 51/255 as it happens."""
    most: float | None = setting(None, above=0, hint="0.8M")
    """An amount."""
    name: str = "x"
    """A name."""

    def __post_init__(self) -> None:
        check_settings(self)


def parse(*arguments: str) -> dict[str, object]:
    parser = cli.argument_parser("An example.", prog="example.py")
    add_config_flags(parser, Example)
    given = given_flags(parser.parse_args(list(arguments)), Example)
    Example(**given)
    return given


def test_only_named_flags_are_given() -> None:
    assert parse() == {}
    assert parse("--eps", "8/255", "--steps", "3", "--robust") == {
        "eps": 8 / 255, "steps": 3, "robust": True,
    }  # fmt: skip
    assert parse("--most", "0.8M") == {"most": 800_000.0}
    assert parse("--no-robust", "--budgets", "5, 7,") == {"robust": False, "budgets": (5, 7)}


def test_help_shows_groups_choices_and_each_default_with_its_unit() -> None:
    parser = cli.argument_parser("An example.")
    add_config_flags(parser, Example)
    text = parser.format_help()
    assert text.index("--budgets") < text.index("\nattack:") < text.index("\nsearch:"), "in order"
    text = " ".join(text.split())
    assert "L-inf radius, 50 % of nothing. Default: 8/255." in text
    assert "Attack. Choices: pgd, fgsm. Default: pgd." in text
    assert "Steps. Default: automatic." in text
    assert "Robust or not. Default: off." in text
    assert "51/255 as it happens. Default: 0.2." in text
    assert "Budgets. Default: 1,2." in text


def test_help_of_presets() -> None:
    def one() -> None:
        """The first
        preset, 5 %."""

    assert preset_help({"one": one}, "one").endswith("one: The first preset, 5 %%. Default: one.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epsilon", "3"], "unrecognized arguments: --epsilon 3"),
        (["--steps", "many"], "--steps: 'many' is not a whole number; write for example 1"),
        (["--steps", "1e20"], "--steps: '1e20' is not a whole number"),
        (["--steps", "9" * 30], f"--steps is {'9' * 30}; it must be below 2^63"),
        (["--steps=--"], "--steps: expected one argument (see example.py --help)"),
        (["--steps", "-1"], "--steps is -1; it must be at least 1"),
        (["--budgets", "1,x"], "--budgets: 'x' is not a whole number; write for example"),
        (["--eps", "lots"], "--eps: 'lots' is not a number; write for example 8/255 (see"),
        (["--eps", "8/0"], "--eps: '8/0' is not a number; write for example 8/255"),
        (["--eps", "8"], "--eps is 8; it must be above 0 and at most 1 (write for example 8/255)"),
        (["--most", "lots"], "--most: 'lots' is not a number; write for example 0.8M"),
        (["--most", "0M"], "--most: '0M' is not a number; write for example 0.8M"),
        (["--most", "-1"], "--most is -1; it must be above 0 (write for example 0.8M)"),
        (["--weight", "inf"], "--weight: 'inf' is not a number; write for example 0.2"),
        (["--weight", "nan"], "--weight: 'nan' is not a number"),
        (["--weight", "1e999"], "--weight: '1e999' is not a number"),
        (["--attack", "cw"], "--attack 'cw' is unknown; choose one of pgd, fgsm"),
    ],
)
def test_bad_flags_are_user_errors(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(*arguments)
    assert message in str(error.value) and "\n" not in str(error.value)


def read_whole(least: int, text: str) -> int:
    parser = cli.argument_parser("An example.", prog="example.py")
    parser.add_argument("--seed", type=whole_number(least))
    number: int = parser.parse_args(["--seed", text]).seed
    return number


def test_whole_numbers_within_their_bounds() -> None:
    assert read_whole(1, "1") == 1 and read_whole(0, str(2**63 - 1)) == 2**63 - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "--seed: 0 is too small; it must be at least 1"),
        ("-1", "--seed: -1 is too small; it must be at least 1"),
        (str(2**63), f"--seed: {2**63} is too large; it must be below 2^63"),
        ("1e20", "--seed: '1e20' is not a whole number; write for example 1"),
        ("nan", "--seed: 'nan' is not a whole number"),
        ("inf", "--seed: 'inf' is not a whole number"),
    ],
)
def test_other_whole_numbers_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_whole(1, text)
    assert message in str(error.value)
