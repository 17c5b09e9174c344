"""The driver sees every kind of fault, goes on behind it, and makes the same files again."""

import json
import subprocess
import sys
from pathlib import Path

from tests.fuzz.drive import damaged
from tests.fuzz.reader import Reader

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
