import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from supernet.data import pickle_reader, pickles
from supernet.data.pickles import load_arrays, whole_numbers
from supernet.errors import UserError
from tests.supernet.data.crafted_pickles import CRAFTED, array_of, dtype_of, value_of


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_arrays_lists_and_byte_keys_come_back(tmp_path: Path, protocol: int) -> None:
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path = tmp_path / "batch"
    content = {b"data": x, "labels": [1, 2], "mean": np.float64(0.5), "raw": b"\xff\x00"}
    path.write_bytes(pickle.dumps(content, protocol))
    read = load_arrays(path)
    assert np.array_equal(read["data"], x)
    assert read["labels"] == [1, 2] and read["mean"] == 0.5 and read["raw"] == b"\xff\x00"


def test_a_pickle_written_by_python_2_is_read(tmp_path: Path) -> None:
    # {'data': array([[1, 2]], dtype=uint8)} with str contents, as cPickle of Python 2 writes it.
    path = tmp_path / "batch"
    path.write_bytes(
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff"
        b"\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tbs."
    )
    assert load_arrays(path)["data"].tolist() == [[1, 2]]


def test_nothing_else_is_run(tmp_path: Path) -> None:
    path, victim = tmp_path / "batch", tmp_path / "victim"
    path.write_bytes(pickle.dumps({"data": _Attack(victim)}))
    with pytest.raises(UserError, match=r"batch is not a pickle of arrays \(it names .*system"):
        load_arrays(path)
    assert not victim.exists()


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused(tmp_path: Path, name: str) -> None:
    data, reason = CRAFTED[name]
    path = tmp_path / "batch"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"batch is not a pickle of arrays \(.*{reason}"):
        load_arrays(path)


def test_the_crafted_files_are_right_but_for_one_thing(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(array_of(dtype_of()))
    assert load_arrays(path)["data"].tolist() == [1, 2]


def test_one_text_is_not_made_bytes_a_thousand_times(tmp_path: Path) -> None:
    """A short file that would take a thousand times its length in memory."""
    text = b"U\xff" + b"a" * 255 + b"q\x00"
    once = b"c_codecs\nencode\nh\x00U\x06latin1\x86R"
    path = tmp_path / "batch"
    path.write_bytes(value_of(b"](" + text + once * 1000 + b"e"))
    with pytest.raises(UserError, match="again and again"):
        load_arrays(path)


def test_long_files_and_many_opcodes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "batch"
    path.write_bytes(value_of(b"N" * 100))
    monkeypatch.setattr(pickle_reader, "MOST_OPCODES", 50)
    with pytest.raises(UserError, match="more than 50 opcodes"):
        load_arrays(path)
    monkeypatch.setattr(pickles, "MOST_BYTES", 50)
    with pytest.raises(UserError, match="longer than 50 bytes"):
        load_arrays(path)


def test_byte_order_and_fortran_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": x}, 2))
    assert np.array_equal(load_arrays(path)["data"], x)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([3, 0], [3, 0]),
        (np.array([3, 0], np.uint8), [3, 0]),
        ([], []),
        ([1.0], None),
        ([True], None),
        ([2**31], None),
        (np.array([2**63], np.uint64), None),
        (np.array([[1]]), None),
        (np.array([0.0]), None),
        ("12", None),
        (None, None),
    ],
)
def test_whole_numbers(value: object, expected: list[int] | None) -> None:
    found = whole_numbers(value)
    assert (None if found is None else found.tolist()) == expected


def test_damaged_missing_and_other_content(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    with pytest.raises(UserError, match=r"cannot read .*batch"):
        load_arrays(path)
    path.write_bytes(pickle.dumps({"data": np.zeros(1000)})[:500])
    with pytest.raises(UserError, match="not a pickle of arrays"):
        load_arrays(path)
    path.write_bytes(b"<html>Too many requests</html>")
    with pytest.raises(UserError, match="not a pickle of arrays"):
        load_arrays(path)
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(UserError, match="does not hold a dict"):
        load_arrays(path)
