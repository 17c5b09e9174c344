"""Command lines: errors as one sentence with the right status."""

import pytest

from supernet import cli
from supernet.errors import UserError


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
