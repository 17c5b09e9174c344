"""What a user has set for the machine changes nothing in a run."""

import locale
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import not_rendered
from tests.supernet.runs.quick_search import comparable, search_in, state_of

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The other side of the date line, in a locale without a character beyond ascii."""
    before = locale.setlocale(locale.LC_ALL)
    with monkeypatch.context() as patch:
        for name, value in {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C"}.items():
            patch.setenv(name, value)
        time.tzset()
        locale.setlocale(locale.LC_ALL, "")
        yield
    locale.setlocale(locale.LC_ALL, before)
    time.tzset()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with not_rendered():
        return search_in(tmp_path_factory.mktemp("here") / "run")


def test_time_zone_and_locale_change_no_result(
    whole: Path, elsewhere: None, tmp_path: Path
) -> None:
    with not_rendered():
        there = search_in(tmp_path / "run")
    assert comparable(there) == comparable(whole)
    alpha = [state_of(folder)["strategy"] for folder in (there, whole)]
    assert alpha[0].keys() == alpha[1].keys() and alpha[0]
    assert all(torch.equal(alpha[0][name], alpha[1][name]) for name in alpha[0])
