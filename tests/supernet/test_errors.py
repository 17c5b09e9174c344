"""The words for what the system refused."""

import errno
import os

import pytest

from supernet.errors import refusal

FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.ENOSPC, FULL, "a.json"), "a.json"),
        (OSError(errno.ENOSPC, FULL, b"caf\xe9"), "caf\udce9"),
        (OSError(errno.ENOSPC, FULL, ".a.json.x.tmp", None, "a.json"), "a.json"),
        (OSError(errno.ENOSPC, FULL), "the run"),
    ],
)
def test_the_file_is_named(error: OSError, name: str) -> None:
    assert refusal(error, "the run") == f"{name}: {FULL}"


def test_an_error_that_says_nothing_has_no_words() -> None:
    assert refusal(OSError(errno.ENOSPC, FULL)) is None
    assert refusal(OSError("of another kind"), "the run") is None
