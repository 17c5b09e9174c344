import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from supernet.data.pickles import load_arrays
from supernet.errors import UserError


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
