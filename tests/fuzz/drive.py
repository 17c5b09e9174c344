#!/usr/bin/env python3
"""Give readers of files a great many damaged ones, each reader in one process, and count the ends.

    python -m tests.fuzz.drive                              50,000 files for each reader
    python -m tests.fuzz.drive front.json pickle --inputs 1000 --seed 3 --out counts.json

Every file is a good one after one to four edits, of its bytes or (JSON) of its values, or nothing
but edits of another file; number and --seed draw it, so that `--first N --inputs 1` makes it again.
A fault is an exception that no reader may raise, more than 5 s of processor time, more memory than
1 GB above that of the process that has read the good files, the end of the process, and a file
that is written, a process that is started or an address that is looked up while reading. Faults are
kept under --keep. Ends with status 1 where there was one.
"""

import argparse
import json
import mmap
import os
import platform
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fuzz import mutations
from tests.fuzz.reader import MOST_SECONDS, Reader, survives

MOST_MEMORY = 1 << 30
"""Bytes above what the process has when it has read the good files."""
MOST_WAIT = 300
"""Seconds on the clock for one file, of a machine that is busy."""
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
          "os.startfile", "socket.connect", "socket.getaddrinfo", "urllib.Request", "pty.spawn",
          "ctypes.dlopen")  # fmt: skip
"""Audit events that no reader causes."""
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate",
           "os.chmod", "os.chown", "shutil.rmtree", "shutil.copyfile", "shutil.move")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROGRESS = struct.Struct("<qq")


class TooSlow(BaseException):
    """One file took too long. Not an Exception: no reader catches it."""


class Outside(BaseException):
    """A reader wrote, or started something."""


class Watch:
    """Raises Outside in a read that does what no reader may."""

    def __init__(self) -> None:
        self.folder: str | None = None
        sys.addaudithook(self._see)

    @contextmanager
    def reading(self, folder: Path) -> Iterator[None]:
        """Only files in this folder may be written in the block: a log is cut to whole lines."""
        self.folder = str(folder)
        try:
            yield
        finally:
            self.folder = None

    def _see(self, event: str, given: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in STARTS:
            raise Outside(f"{event} {str(given)[:200]}")
        if given and isinstance(given[0], int):
            return  # of a file that is open, which was looked at when it was opened
        if event in CHANGES or (event == "open" and isinstance(given[2], int)
                                and given[2] & WRITING):  # fmt: skip
            path = os.path.abspath(os.fsdecode(given[0]))
            if not path.startswith(self.folder + os.sep):
                raise Outside(f"{event} of {path[:200]}")


def damaged(name: str, reader: Reader, good: list[bytes], seed: int, number: int) -> bytes:
    """The file of this number."""
    draw = random.Random(f"{seed} {name} {number}")
    # Half of them from the first few: files that were crafted once stand behind, and are refused.
    data = draw.choice(good[:4] if draw.random() < 0.5 else good)
    if reader.json and draw.random() < 0.6:
        text = data.decode().removeprefix("acc=").removesuffix(";")
        edits: Any = [_value_edit(draw) for _ in range(draw.randint(1, 3))]
        return mutations.as_json(mutations.edit_values(json.loads(text), edits))
    if reader.edited is not None and draw.random() < 0.6:
        edits = [_value_edit(draw) for _ in range(draw.randint(1, 2))]
        return reader.edited(lambda value: mutations.edit_values(value, edits))
    if draw.random() < 0.02:
        data = draw.randbytes(draw.randint(0, 200))
    return mutations.edit_bytes(data, [_byte_edit(draw) for _ in range(draw.randint(1, 4))])


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
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            left = seconds - (time.monotonic() - began)
            _child(name, reader, range(first, numbers.stop), seed, shared, writing, left)
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
            for data in good:
                survives(reader, folder, data)
            watch = Watch()
            _limit()
            ends = time.monotonic() + left
            for number in numbers:
                if time.monotonic() > ends:
                    break
                shared[:] = _PROGRESS.pack(number, 0)
                data = damaged(name, reader, good, seed, number)
                try:
                    with watch.reading(folder), _alarm():
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


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def _alarm() -> Iterator[None]:
    """TooSlow after so much processor time, or much more time on the clock (a read that waits)."""

    def late(number: int, frame: object) -> None:
        raise TooSlow(signal.Signals(number).name)

    signal.signal(signal.SIGPROF, late)
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, MOST_WAIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Parse, read, count, write."""
    from tests.fuzz.readers import READERS

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--inputs", type=int, default=50_000, help="For each. Default: 50,000.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first. Default: 0.")
    parser.add_argument("--seed", type=int, default=0, help="Default: 0.")
    parser.add_argument("--seconds", type=float, default=1e9, help="At most, for each reader.")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="Of the faults.")
    parser.add_argument("--out", type=Path, help="JSON of the counts, written after each reader.")
    arguments = parser.parse_args()
    found = []
    if arguments.out is not None and arguments.out.exists():
        found = json.loads(arguments.out.read_text())["readers"]
    failed = 0
    numbers = range(arguments.first, arguments.first + arguments.inputs)
    for name in arguments.readers or READERS:
        counts = drive(
            name, READERS[name], numbers, arguments.seed, arguments.keep,
            seconds=arguments.seconds,
        )  # fmt: skip
        failed += counts["faults"]
        print(json.dumps(counts), flush=True)
        found = [each for each in found if each["reader"] != name] + [counts]
        if arguments.out is not None:
            content = {"command": "python -m tests.fuzz.drive", "seed": arguments.seed,
                       "versions": _versions(), "readers": found}  # fmt: skip
            arguments.out.write_text(json.dumps(content, indent=1) + "\n")
    sys.exit(1 if failed else 0)


def _versions() -> dict[str, str]:
    from importlib import metadata

    packages = ("torch", "numpy", "pillow", "orjson", "safetensors")
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}}


if __name__ == "__main__":
    main()
