#!/usr/bin/env python3
"""Kill searches, trainings and rankings, let them go on, and compare what they end with.

    python scripts/kill_test.py                            20 kills of each command
    python scripts/kill_test.py search --kills 5 --seed 3
    python scripts/kill_test.py --out kills.json           the same, with every kill in a file

Each trial begins a small run in a folder of its own, sends it SIGKILL, starts it again as its user
would, and compares the end with that of a run that nothing disturbed: alpha, weights, optimisers,
random numbers, the refinement, scores. Every other kill comes at a random moment, the rest in the
n-th write, rename or fsync of the files that are written whole; --seed draws both. Ends with
status 1 where a result differs, a file is half-written, or a temporary file is left.
"""

import argparse
import json
import os
import random
import runpy
import shlex
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.files import write_json
from supernet.settings import choose

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "--dataset", "digits", "--limit", "100", "--C", "2", "--N", "1", "--probe-images", "20",
    "--quiet",
]  # fmt: skip
COMMANDS: dict[str, list[str]] = {
    "search": [
        "search.py", "--robust", *SMALL, "--epochs", "3", "--warmup-epochs", "1", "--batch-size",
        "20", "--attack", "n_fgsm", "--refine-steps", "1,2", "--refine-moves", "1", "--processes",
        "1",
    ],
    "train": [
        "train.py", "--genotype", "313021", *SMALL, "--epochs", "3", "--batch-size", "32",
        "--attack", "fgsm", "--ema",
    ],
    "rank": ["rank.py", "--proxies", "snip,synflow", "--cells", "12", "--dataset", "digits",
             "--quiet"],
}  # fmt: skip
"""Name -> script and flags of a run of seconds."""
CALLS = ("write", "replace", "fsync")
TIMES = {"seconds", "cpu_seconds", "step_seconds", "peak_memory_mb", "config"}
"""What two equal runs do not share: times, memory, and the name of their folder."""
RESULTS = (
    "genotype.json", "front.json", "refine.json", "metrics.jsonl", "checkpoint.pt", "model.pt",
    "scores.jsonl", "ranking.json",
)  # fmt: skip


class Moment(NamedTuple):
    """When a run is killed: after `seconds`, or in the `number`-th call of its kind."""

    seconds: float | None
    call: str = ""
    number: int = 0

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"after {self.seconds:.2f} s"
        return f"in {self.call} number {self.number}"


def main() -> None:
    """Parse, kill, compare, print."""
    arguments = _parser().parse_args()
    names = arguments.commands or list(COMMANDS)
    for name in names:
        choose("the command", name, COMMANDS)
    import torch  # children are forked: they have it at once  # noqa: F401

    kills: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="kill-test-") as folder:
        for name in names:
            for kill in _try(name, Path(folder), arguments.kills, random.Random(arguments.seed)):
                kills.append(kill)
                if arguments.out is not None:
                    _write(arguments.out, arguments.seed, kills)
    if any(kill["faults"] for kill in kills):
        sys.exit(1)


def _write(path: Path, seed: int, kills: list[dict[str, Any]]) -> None:
    from supernet.runs.machine import versions

    counts = {
        name: {
            "kills": sum(kill["run"] == name for kill in kills),
            "with_faults": sum(kill["run"] == name and bool(kill["faults"]) for kill in kills),
        }
        for name in dict.fromkeys(kill["run"] for kill in kills)
    }
    content = {
        "command": shlex.join(["python", "scripts/kill_test.py", *sys.argv[1:]]), "seed": seed,
        "versions": versions(), "counts": counts, "runs": COMMANDS, "kills": kills,
    }  # fmt: skip
    write_json(path, content)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "commands", nargs="*", metavar="COMMAND", help="search, train and rank; all without one."
    )
    parser.add_argument("--kills", type=int, default=20, help="Of each command. Default: 20.")
    parser.add_argument("--seed", type=int, default=0, help="Draws the moments. Default: 0.")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON of all kills.")
    return parser


def _try(name: str, base: Path, kills: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Kill a command so many times; gives each kill, with what was not as it should be."""
    whole, began = base / f"{name}-whole", time.monotonic()
    counts = _run(name, whole)
    duration = time.monotonic() - began
    for number in range(kills):
        call = CALLS[number // 2 % len(CALLS)]
        moment = Moment(draw.uniform(0, duration))
        if number % 2:
            moment = Moment(None, call, draw.randint(1, counts[call]))
        faults = trial(name, base / f"{name}-{number}", whole, moment)
        print(f"{name:<7}killed {moment}: {'; '.join(faults) or 'the same end'}", flush=True)
        yield {"run": name, "moment": str(moment), "faults": faults}


def trial(name: str, folder: Path, whole: Path, moment: Moment) -> list[str]:
    """Kill a run at this moment and let it go on; returns what is not as in `whole`."""
    pid = _fork(_start(name, folder), folder, moment)
    if moment.seconds is not None:
        time.sleep(moment.seconds)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    faults = [f"{path.name} is half-written" for path in folder.glob("*") if not _is_whole(path)]
    _run(name, folder)
    left = [str(path.relative_to(folder)) for path in folder.rglob(".*.tmp")]
    faults += [f"{file} is left" for file in left]
    different = [file for file in RESULTS if _read(folder / file) != _read(whole / file)]
    return faults + [f"{file} differs" for file in different]


def _run(name: str, folder: Path) -> dict[str, int]:
    """Begin a run, or go on with it, to its end; returns how often it made each call."""
    pid = _fork(_start(name, folder), folder, Moment(None))
    _, status = os.waitpid(pid, 0)
    log = folder.with_suffix(".log").read_text()
    if status:
        raise RuntimeError(f"{name} ended with {os.waitstatus_to_exitcode(status)}:\n{log}")
    counts: dict[str, int] = json.loads(folder.with_suffix(".calls").read_text())
    return counts


def _start(name: str, folder: Path) -> list[str]:
    """What a user types for a run: the command, or --resume where it has begun."""
    script, *flags = COMMANDS[name]
    path = str(ROOT / "scripts" / script)
    if name != "rank" and (folder / "config.json").exists():
        return [path, "--resume", str(folder), "--quiet"]
    return [path, *flags, "--out", str(folder)]


def _fork(command: list[str], folder: Path, moment: Moment) -> int:
    """Start a command in a child process that kills itself in the call that `moment` names."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        output = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        counts = _counted(moment)
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        folder.with_suffix(".calls").write_text(json.dumps(counts))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _counted(moment: Moment) -> dict[str, int]:
    """Count the calls of each kind from now on, and die in the one that `moment` names."""
    counts = dict.fromkeys(CALLS, 0)

    def counting(call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            counts[call] += 1
            if (call, counts[call]) == (moment.call, moment.number):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return counted

    class Stream:
        """A file whose writes are counted."""

        def __init__(self, file: Any) -> None:
            self.file, self.write = file, counting("write", file.write)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

    fdopen = os.fdopen
    os.replace = counting("replace", os.replace)
    os.fsync = counting("fsync", os.fsync)
    os.fdopen = lambda *a, **k: Stream(fdopen(*a, **k))  # type: ignore[assignment,misc]
    return counts


def _is_whole(path: Path) -> bool:
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".pt" and not path.name.startswith("."):
            return zipfile.ZipFile(path).testzip() is None
    except (ValueError, zipfile.BadZipFile):
        return False
    return True


def _read(path: Path) -> Any:
    """A result as plain values, without times; None where there is none."""
    if not path.exists():
        return None
    if path.suffix == ".pt":
        import torch

        return _plain(torch.load(path, map_location="cpu", weights_only=True))
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return [_plain(json.loads(line)) for line in lines]


def _plain(value: Any) -> Any:
    """Values that == compares whole: tensors as bytes."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in TIMES}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "numpy"):
        return (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
    return value


if __name__ == "__main__":
    cli.run(main)
