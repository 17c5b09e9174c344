#!/usr/bin/env python3
"""Give readers of files a great many damaged ones, each reader in one process, and count the ends.

    python -m tests.fuzz.drive                              50,000 files for each reader
    python -m tests.fuzz.drive front.json pickle --inputs 1000 --seed 3 --out counts.json

Every file is a good one after one to four edits, of its bytes, of its values (JSON) or of what is
in it (archives); number and --seed draw it, so that `--first N --inputs 1` makes it again. Readers
take turns, the one that will soonest be through first. A second call with the same --out goes on
where the first one was stopped; a reader that had faults begins anew.
A fault is an exception that no reader may raise, more than 5 s of processor time, more memory than
1 GB above that of the process that has read the good files, the end of the process, and a file
that is written, a process that is started or an address that is looked up while reading. Faults are
kept under --keep. Ends with status 1 where there was one.
"""

import argparse
import functools
import gc
import json
import mmap
import os
import platform
import random
import shlex
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from supernet.files import write_json
from tests.fuzz import mutations
from tests.fuzz.archives import edit_entry
from tests.fuzz.reader import MOST_SECONDS, Reader, survives
from tests.fuzz.watch import MOST_MEMORY, Watch, limit_memory

_PROGRESS = struct.Struct("<qq")
MEMORY = Path("/dev/shm")
"""Where the files lie, on a machine that has it: a disk takes longer than most readers."""
TURN = 60.0
"""Seconds on the clock after which another reader may have its turn, and the counts are written."""


def damaged(name: str, reader: Reader, good: list[bytes], seed: int, number: int) -> bytes:
    """The file of this number."""
    draw = random.Random(f"{seed} {name} {number}")
    # Half of them from the first few: files that were crafted once stand behind, and are refused.
    data = draw.choice(good[:4] if draw.random() < 0.5 else good)
    if reader.json and draw.random() < 0.6:
        edits: Any = [_value_edit(draw) for _ in range(draw.randint(1, 3))]
        return mutations.as_json(mutations.edit_values(_parsed(data), edits))
    if reader.edited is not None and draw.random() < 0.4:
        edits = [_value_edit(draw) for _ in range(draw.randint(1, 2))]
        return reader.edited(lambda value: mutations.edit_values(value, edits))
    if draw.random() < 0.02:
        data = draw.randbytes(draw.randint(0, 200))
    elif reader.zipped and draw.random() < 0.7:
        edits = [_byte_edit(draw) for _ in range(draw.randint(1, 2))]
        place = draw.randint(0, 10_000)
        return edit_entry(data, place, lambda content: mutations.edit_bytes(content, edits))
    return mutations.edit_bytes(data, [_byte_edit(draw) for _ in range(draw.randint(1, 4))])


@functools.lru_cache(maxsize=4)
def _parsed(data: bytes) -> Any:
    return json.loads(data.decode().removeprefix("acc=").removesuffix(";"))


def _value_edit(draw: random.Random) -> mutations.ValueEdit:
    kind, given = draw.random(), draw.choice(mutations.ODD_VALUES)
    if kind < 0.2:
        given = draw.randint(-(10 ** draw.randint(0, 25)), 10 ** draw.randint(0, 25))
    elif kind < 0.3:
        given = draw.uniform(-1, 1) * 10 ** draw.randint(-300, 300)
    elif kind < 0.4:
        given = "".join(chr(draw.choice((draw.randint(0, 127), draw.randint(0, 0xD7FF))))
                        for _ in range(draw.randint(0, 8)))  # fmt: skip
    return draw.randint(0, 10_000), draw.choice(mutations.VALUE_ACTIONS), given


def _byte_edit(draw: random.Random) -> mutations.ByteEdit:
    given = draw.choice(mutations.TELLING)
    if draw.random() < 0.6:
        given = draw.randbytes(draw.randint(1, 8))
    # Heads decide what a reader allocates: half of the edits are in the first tenth.
    where = draw.random() * draw.choice((0.1, 1.0))
    return where, draw.choice(mutations.BYTE_ACTIONS), given


def drive(
    name: str, reader: Reader, numbers: range, seed: int, keep: Path, *, seconds: float = 1e9
) -> dict[str, Any]:
    """Read the files of these numbers, or as many as `seconds` on the clock allow; their counts.

    A child process reads. Where it dies, the file is a fault and another goes on behind it.
    """
    shared = mmap.mmap(-1, _PROGRESS.size)
    began, first = time.monotonic(), numbers.start
    counts: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    cpu = 0.0
    while first < numbers.stop and time.monotonic() - began < seconds:
        reading, writing = os.pipe()
        gc.freeze()  # a child must not collect what threads of this process have made
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            left = seconds - (time.monotonic() - began)
            _child(name, reader, range(first, numbers.stop), seed, shared, writing, left)
        gc.unfreeze()
        os.close(writing)
        with os.fdopen(reading) as stream:
            said = stream.read()
        _, status, used = os.wait4(pid, 0)
        cpu += used.ru_utime + used.ru_stime
        lines = [json.loads(line) for line in said.splitlines()]
        for line in lines:
            if "counts" in line:
                counts.update(line["counts"])
                first = line["next"]
            else:
                faults.append(line)
        if not lines or "counts" not in lines[-1]:
            at, _ = _PROGRESS.unpack(shared[:])
            code = os.waitstatus_to_exitcode(status)
            faults.append({"number": at, "fault": f"the process ended with {code}"})
            counts["read or refused before the process ended"] += at - first
            first = at + 1
    good = reader.good()
    for fault in faults:
        path = keep / f"{name.replace(' ', '-').replace('/', '-')}-{seed}-{fault['number']}"
        keep.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged(name, reader, good, seed, fault["number"]))
    return {
        "reader": name, "inputs": first - numbers.start, **dict(sorted(counts.items())),
        "faults": len(faults), "cpu_seconds": round(cpu, 1), "first_faults": faults[:20],
    }  # fmt: skip


def _child(
    name: str, reader: Reader, numbers: range, seed: int, shared: mmap.mmap, out: int, left: float
) -> None:
    counts: Counter[str] = Counter()
    number = numbers.start
    status = 1
    try:
        warnings.simplefilter("ignore")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as base, os.fdopen(out, "w") as stream:
            folder = Path(base) / "here"
            (Path(base) / "cwd").mkdir()
            folder.mkdir()
            reader.beside(folder)
            os.chdir(Path(base) / "cwd")
            good = reader.good()
            read = [survives(reader, folder, data) for data in good]
            assert read[0], "the first good file is refused"
            watch = Watch()
            limit_memory()
            ends = time.monotonic() + left
            for number in numbers:
                if time.monotonic() > ends:
                    break
                shared[:] = _PROGRESS.pack(number, 0)
                data = damaged(name, reader, good, seed, number)
                try:
                    with watch.reading(folder):
                        counts["read" if survives(reader, folder, data) else "refused"] += 1
                except BaseException as fault:
                    if isinstance(fault, KeyboardInterrupt):
                        raise
                    where = traceback.extract_tb(fault.__traceback__)[-1]
                    text = f"{type(fault).__name__}: {str(fault)[:200]}"
                    text += f" ({where.filename}:{where.lineno})"
                    stream.write(json.dumps({"number": number, "fault": text}) + "\n")
                    stream.flush()
            else:
                number = numbers.stop
            outside = [str(path) for path in (Path(base) / "cwd").iterdir()]
            if outside:
                stream.write(json.dumps({"number": -1, "fault": f"left {outside}"}) + "\n")
            stream.write(json.dumps({"counts": counts, "next": number}) + "\n")
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    finally:
        os._exit(status)


def main() -> None:
    """Parse, read, count, write."""
    from tests.fuzz.readers import READERS
    from tests.fuzz.table_readers import WHOLE

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--inputs", type=int, default=50_000, help="For each. Default: 50,000.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first. Default: 0.")
    parser.add_argument("--seed", type=int, default=0, help="Default: 0.")
    parser.add_argument("--seconds", type=float, default=1e9, help="At most, for each reader.")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="Of the faults.")
    parser.add_argument("--out", type=Path, help="JSON of the counts; what it has goes on.")
    arguments = parser.parse_args()
    names = arguments.readers or [name for name in READERS if name not in WHOLE]
    found = _before(arguments.out, arguments.seed, arguments.first)
    todo = {
        name: Task(name, arguments.inputs, arguments.seconds)
        for name in names
        if found.get(name, {}).get("inputs", 0) < arguments.inputs
    }
    keep = arguments.keep.resolve()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as base:
        tempfile.tempdir = base
        while todo:
            # The shortest first: whatever stops this, most readers are through by then.
            task = min(todo.values(), key=lambda task: task.left(found.get(task.name)))
            before = found.get(task.name, {})
            start = arguments.first + before.get("inputs", 0)
            stop = arguments.first + arguments.inputs
            seconds = min(TURN if before else TURN / 6, task.seconds)
            began = time.monotonic()
            counts = drive(
                task.name, READERS[task.name], range(start, stop), arguments.seed, keep,
                seconds=seconds,
            )  # fmt: skip
            task.seconds -= time.monotonic() - began
            found[task.name] = counts = _together(before, counts)
            if counts["inputs"] >= arguments.inputs or task.seconds <= 0:
                del todo[task.name]
                print(json.dumps(counts), flush=True)
            if arguments.out is not None:
                _write(arguments.out, arguments, [found[name] for name in READERS if name in found])
    sys.exit(1 if any(found[name]["faults"] for name in names) else 0)


@dataclass
class Task:
    """A reader that has not read all of its files yet."""

    name: str
    inputs: int
    seconds: float

    def left(self, counts: dict[str, Any] | None) -> float:
        """Seconds of processor time that it will take, as far as is known."""
        if not counts or not counts["inputs"]:
            return 0.0
        return float(counts["cpu_seconds"] / counts["inputs"] * (self.inputs - counts["inputs"]))


def _before(path: Path | None, seed: int, first: int) -> dict[str, dict[str, Any]]:
    """What an earlier call has counted, by reader. One that had faults is to begin anew."""
    if path is None or not path.exists():
        return {}
    content = json.loads(path.read_text())
    if (content["seed"], content["first"]) != (seed, first):
        sys.exit(f"{path} has other files, with --seed {content['seed']} --first "
                 f"{content['first']}; name another --out")  # fmt: skip
    return {each["reader"]: each for each in content["readers"] if not each["faults"]}


def _together(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The counts of a reader's turns, added up."""
    added = {
        key: round(before.get(key, 0) + now.get(key, 0), 1)
        for key in dict.fromkeys([*before, *now])
        if key not in ("reader", "first_faults")
    }
    faults = [*before.get("first_faults", []), *now["first_faults"]][:20]
    return {"reader": now["reader"], **added, "first_faults": faults}


def _write(path: Path, arguments: argparse.Namespace, readers: list[dict[str, Any]]) -> None:
    content = {
        "command": shlex.join(["python", "-m", "tests.fuzz.drive", *sys.argv[1:]]),
        "seed": arguments.seed, "first": arguments.first, "versions": _versions(),
        "limits": {"seconds": MOST_SECONDS, "bytes": MOST_MEMORY}, "readers": readers,
    }  # fmt: skip
    write_json(path, content)


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "pillow", "orjson", "safetensors")
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}}


if __name__ == "__main__":
    main()
