"""The driver sees every kind of fault, goes on behind it, and makes the same files again."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from supernet.errors import UserError
from supernet.train.torch_file import load_torch
from tests.fuzz.archives import edit_entry
from tests.fuzz.drive import Task, _before, _together, damaged
from tests.fuzz.reader import Reader, survives

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, os, sys
from pathlib import Path
from supernet.errors import UserError
from tests.fuzz.drive import drive
from tests.fuzz.reader import Reader

GOOD = b"0123456789" * 3

def read(path):
    data = path.read_bytes()
    kind = 0 if data == GOOD else 1 + sum(data) % 6
    if kind == 1:
        raise UserError("it is damaged")
    if kind == 2:
        raise KeyError("code")
    if kind == 3:
        Path("elsewhere").write_text("mine")
    if kind == 4:
        os._exit(3)
    if kind == 5:
        bytes(3 << 30)
    if kind == 6:
        os.system("true")

found = drive("odd", Reader(read, "a", lambda: [GOOD]), range(60), 1, Path(sys.argv[1]))
found["first_faults"] = sorted({fault["fault"].split(" (")[0] for fault in found["first_faults"]})
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_kind_of_fault_is_seen(tmp_path: Path) -> None:
    """In a process of its own: this one has threads, and is not to be forked."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "kept")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kinds = " ".join(found["first_faults"])
    for kind in ("KeyError: 'code'", "Outside: open of", "the process ended with 3", "MemoryError",
                 "Outside: os.system"):  # fmt: skip
        assert kind in kinds, kinds
    assert found["inputs"] == 60 and 30 < found["faults"] < 60
    assert len(list((tmp_path / "kept").iterdir())) == found["faults"]
    assert not (ROOT / "elsewhere").exists()


def test_a_file_is_made_again_from_its_number() -> None:
    good = [b'{"a": [1, 2], "b": {"c": "x"}}']
    reader = Reader(lambda path: None, "a.json", lambda: good, json=True)
    files = [damaged("a", reader, good, 0, number) for number in range(50)]
    assert files == [damaged("a", reader, good, 0, number) for number in range(50)]
    assert len(set(files)) > 40
    assert files != [damaged("a", reader, good, 1, number) for number in range(50)]


def test_the_inside_of_an_archive_is_damaged_and_its_checksums_are_right() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("one", "two", "three"):
            archive.writestr(name, name * 50)
    for number, name in ((0, "one"), (3, "two"), (5, "three"), (8, "one")):
        with zipfile.ZipFile(io.BytesIO(edit_entry(stream.getvalue(), number, bytes.upper))) as got:
            assert got.testzip() is None and got.namelist() == ["one", "two", "three"]
            for each in got.namelist():
                text = (each * 50).encode()
                assert got.read(each) == (text.upper() if each == name else text)


def test_files_of_torch_are_damaged_inside() -> None:
    stream = io.BytesIO()
    torch.save({"w": torch.arange(4.0)}, stream)
    data = edit_entry(stream.getvalue(), 0, lambda pickled: pickled.replace(b"w", b"v"))
    for read in (load_torch, lambda stream: torch.load(stream, weights_only=True)):
        assert read(io.BytesIO(data))["v"].tolist() == [0, 1, 2, 3]


def test_memory_that_a_reader_did_not_get_is_a_fault(tmp_path: Path) -> None:
    """Or it would be taken where there is no limit."""

    def read(path: Path) -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise UserError("it is damaged") from error

    with pytest.raises(AssertionError, match="because memory ran out"):
        survives(Reader(read, "a", lambda: []), tmp_path, b"")


def test_a_count_that_was_stopped_goes_on(tmp_path: Path) -> None:
    first = {"reader": "a", "inputs": 10, "read": 4, "refused": 6, "faults": 0, "cpu_seconds": 1.5,
             "first_faults": []}  # fmt: skip
    second = {"reader": "a", "inputs": 5, "refused": 5, "faults": 1, "cpu_seconds": 0.25,
              "first_faults": [{"number": 12}]}  # fmt: skip
    both = _together(first, second)
    assert both == {"reader": "a", "inputs": 15, "read": 4, "refused": 11, "faults": 1,
                    "cpu_seconds": 1.8, "first_faults": [{"number": 12}]}  # fmt: skip
    path = tmp_path / "counts.json"
    assert _before(path, 0, 0) == _before(None, 0, 0) == {}
    path.write_text(
        json.dumps({"seed": 0, "first": 0, "readers": [first, {**both, "reader": "b"}]})
    )
    assert _before(path, 0, 0) == {"a": first}, "one that had faults begins anew"
    with pytest.raises(SystemExit, match="has other files, with --seed 0 --first 0"):
        _before(path, 1, 0)


def test_the_reader_that_is_through_soonest_is_first() -> None:
    task = Task("a", 100, 1e9)
    assert task.left(None) == 0 and task.left({"inputs": 0, "cpu_seconds": 0.0}) == 0
    assert task.left({"inputs": 20, "cpu_seconds": 4.0}) == 16
