"""Damaged and crafted files end in a UserError, or are read; they never end in anything else."""

import functools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.corpus import corpus
from tests.fuzz.mutations import (
    ByteEdit,
    ValueEdit,
    as_json,
    byte_edits,
    edit_bytes,
    edit_values,
    value_edits,
)  # fmt: skip
from tests.fuzz.reader import survives
from tests.fuzz.readers import JSON_READERS, READERS
from tests.fuzz.table_readers import WHOLE

FAST = [name for name in READERS if name not in WHOLE]


@functools.cache
def _good(name: str) -> list[bytes]:
    return READERS[name].good()


@functools.cache
def _folder(name: str, base: Path) -> Path:
    folder = base / name.replace(" ", "-")
    folder.mkdir()
    READERS[name].beside(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
@given(edits=byte_edits, which=st.integers(0, 1_000))
def test_damaged_bytes(name: str, base: Path, edits: list[ByteEdit], which: int) -> None:
    good = _good(name)
    data = edit_bytes(good[which % len(good)], edits)
    survives(READERS[name], _folder(name, base), data)


@pytest.mark.parametrize("name", [name for name in FAST if name in JSON_READERS])
@given(edits=value_edits)
def test_odd_values(name: str, base: Path, edits: list[ValueEdit]) -> None:
    text = _good(name)[0].decode().removeprefix("acc=").removesuffix(";")
    survives(READERS[name], _folder(name, base), as_json(edit_values(json.loads(text), edits)))


@pytest.mark.parametrize("name", FAST)
def test_good_files_are_read(name: str, base: Path) -> None:
    """Without this, a reader that refuses everything would pass."""
    folder = _folder(name, base)
    (folder / READERS[name].file).write_bytes(_good(name)[0])
    READERS[name].read(folder / READERS[name].file)


def test_what_once_ended_otherwise_is_answered(base: Path) -> None:
    """Every file is refused, but for those whose values only look odd."""
    read = [
        (name, words)
        for name, words, data in corpus()
        if survives(READERS[name], _folder(name, base), data)
    ]
    assert read == [
        ("run's genotype.json", "weights that are all zero"),
        ("network's log", "no metric that is drawn"),
    ]


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("data", [b"", b"\0", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe"])
def test_what_is_no_such_file(name: str, base: Path, data: bytes) -> None:
    survives(READERS[name], _folder(name, base), data)
