"""The words for what the system refused."""

import errno
import os
from pathlib import Path

import pytest

from supernet.errors import LONGEST, UserError, refusal

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


def test_a_sentence_keeps_its_beginning_and_its_end() -> None:
    text = "a.npz is damaged (" + "x" * 100_000 + "); copy it again"
    said = str(UserError(text))
    assert said.startswith("a.npz is damaged (xxx") and said.endswith("xxx); copy it again")
    assert len(said) < LONGEST + 10
    assert str(UserError("y" * LONGEST)) == "y" * LONGEST


def test_a_file_in_a_folders_place_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(FileExistsError) as caught:
        (tmp_path / "run").mkdir(exist_ok=True)
    assert refusal(caught.value) == f"{tmp_path / 'run'} is a file where a folder is wanted"
