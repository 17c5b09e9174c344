"""Command lines: flags from a dataclass, and errors as one sentence with the right status."""

from dataclasses import dataclass

import pytest

from supernet import cli
from supernet.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Example:
    eps: float = 8 / 255
    """L-inf radius, 50 % of nothing."""
    steps: int | None = None
    """Steps."""
    robust: bool = False
    """Robust or not."""
    budgets: tuple[int, ...] = (1, 2)
    """Budgets."""
    name: str = "x"
    """A name."""


def parse(*arguments: str) -> dict[str, object]:
    parser = cli.argument_parser("An example.")
    cli.add_config_flags(parser, Example)
    return cli.given_flags(parser.parse_args(list(arguments)), Example)


def test_only_named_flags_are_given() -> None:
    assert parse() == {}
    assert parse("--eps", "8/255", "--steps", "3", "--robust") == {
        "eps": 8 / 255, "steps": 3, "robust": True,
    }  # fmt: skip
    assert parse("--eps", "0.8M") == {"eps": 800_000.0}
    assert parse("--no-robust", "--budgets", "5,7") == {"robust": False, "budgets": (5, 7)}


def test_help_shows_each_default_with_its_unit() -> None:
    parser = cli.argument_parser("An example.")
    cli.add_config_flags(parser, Example)
    text = " ".join(parser.format_help().split())
    assert "L-inf radius, 50 % of nothing. Default: 8/255." in text
    assert "Steps. Default: automatic." in text
    assert "Robust or not. Default: off." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epsilon", "3"], "unrecognized arguments: --epsilon 3"),
        (["--steps", "many"], "--steps: invalid int value: 'many'"),
        (["--eps", "8/0"], "--eps"),
        (["--eps", "0M"], "'0M' is not an amount above zero; write for instance 0.8M"),
    ],
)
def test_bad_flags_are_user_errors(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(*arguments)


def test_run_turns_a_user_error_into_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("the cupboard is bare; fill it")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: the cupboard is bare; fill it\n"


def test_run_ends_well_after_success_and_keeps_other_tracebacks() -> None:
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: None)
    assert stop.value.code == 0

    def broken() -> None:
        raise ValueError("our own fault")

    with pytest.raises(ValueError, match="our own fault"):
        cli.run(broken)


def test_interrupts_have_their_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt("stopped; go on with --resume")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 130
    assert "go on with --resume" in capsys.readouterr().err
