"""What all captures of a process have in common."""

import pytest

from ops.captures import Captures


def test_a_run_has_the_reasons_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    captures = Captures()
    captures.begin()
    for _ in range(2):
        captures.say("an attack", "no tensors")
    assert captures.reasons == ["an attack runs without a CUDA graph: no tensors"]
    assert len(caplog.messages) == 1
    captures.begin()
    assert captures.reasons == []
    captures.say("an attack", "no tensors")
    assert len(caplog.messages) == 2


def test_a_capture_that_failed_is_a_reason_of_later_runs_too() -> None:
    captures = Captures()
    captures.fail("alpha's step", RuntimeError("not permitted"))
    captures.begin()
    assert captures.failed and "not permitted" in captures.reasons[0]
    captures.say("an attack", "no tensors")
    captures.begin()
    assert len(captures.reasons) == 1 and "not permitted" in captures.reasons[0]
