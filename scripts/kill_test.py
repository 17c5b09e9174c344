#!/usr/bin/env python3
"""Kill searches, trainings and rankings, let them go on, and compare what they end with.

    python scripts/kill_test.py                            20 kills of each command
    python scripts/kill_test.py search --kills 5 --seed 3
    python scripts/kill_test.py --out kills.json           the same, with every kill in a file

Each trial begins a small run in a folder of its own, sends it SIGKILL, starts it again as its user
would, and compares the end with that of a run that nothing disturbed: alpha, weights, optimisers,
random numbers, the refinement, scores. Every other kill comes after a random share of the
processor time that the whole run takes, the rest in the n-th write, rename or fsync, of a
checkpoint or of any file that is written whole; --seed draws all of them. Figures are files of
nothing here: drawing them takes most of so small a run. Runs take the GPU where there is one, and
the file names it. Ends with status 1 where a result differs,
a file is half-written, or a temporary file is left. With an --out that is there it goes on.
"""

import argparse
import json
import os
import random
import runpy
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.settings import choose

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "--dataset", "digits", "--limit", "100", "--C", "2", "--N", "1", "--probe-images", "20",
    "--quiet",
]  # fmt: skip
SEARCH = [
    "search.py", "--robust", *SMALL, "--batch-size", "20", "--attack", "n_fgsm", "--processes", "1",
    "--prior", "none",
]  # fmt: skip
COMMANDS: dict[str, list[str]] = {
    "search": [*SEARCH, "--epochs", "3", "--warmup-epochs", "1", "--proposals", "supernet",
               "--refine-moves", "0"],
    "train": [
        "train.py", "--genotype", "313021", *SMALL, "--epochs", "3", "--batch-size", "32",
        "--attack", "fgsm", "--ema",
    ],
    "rank": ["rank.py", "--proxies", "snip,synflow", "--cells", "8", "--dataset", "digits",
             "--quiet"],
    "refine": [*SEARCH, "--epochs", "0", "--proposals", "free", "--refine-moves", "1",
               "--refine-steps", "1,2", "--limit", "60"],
}  # fmt: skip
"""Name -> script and flags of a run of seconds. A refinement is a search without a supernet."""
CALLS = ("write", "replace", "fsync")
ANY, CHECKPOINT = "any file", "a checkpoint"
TIMES = {"seconds", "cpu_seconds", "step_seconds", "peak_memory_mb", "config"}
"""What two equal runs do not share: times, memory, and the name of their folder."""
RESULTS = (
    "genotype.json", "front.json", "refine.json", "metrics.jsonl", "checkpoint.pt", "model.pt",
    "scores.jsonl", "ranking.json",
)  # fmt: skip


class Moment(NamedTuple):
    """When a run is killed: after so much processor time, or in a call of its kind."""

    seconds: float | None
    call: tuple[str, str] = ("", ANY)
    number: int = 0

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"after {self.seconds:.2f} s"
        return f"in {self.call[0]} number {self.number} of {self.call[1]}"


def main() -> None:
    """Parse, kill, compare, print."""
    arguments = _parser().parse_args()
    names = arguments.commands or list(COMMANDS)
    for name in names:
        choose("the command", name, COMMANDS)
    _prepare()
    kills, calls = _before(arguments.out, arguments.seed)
    calls.append(shlex.join(["python", "scripts/kill_test.py", *sys.argv[1:]]))
    with tempfile.TemporaryDirectory(prefix="kill-test-") as folder:
        for name in names:
            done = sum(kill["run"] == name for kill in kills)
            for kill in _try(name, Path(folder), arguments.kills, arguments.seed, done):
                kills.append(kill)
                if arguments.out is not None:
                    _write(arguments.out, arguments.seed, calls, kills)
    if any(kill["faults"] for kill in kills):
        sys.exit(1)


def _prepare() -> None:
    """Import what the commands need, which forked children then have, and draw no figures.

    Nothing here may ask for a GPU: a process that has cannot fork others that use one.
    """
    import sklearn.datasets  # noqa: F401
    import timm.utils  # noqa: F401
    import torch
    from matplotlib.figure import Figure

    from supernet.commands import rank, search, train  # noqa: F401
    from supernet.runs import search_run, train_run  # noqa: F401
    from supernet.studies.ranking import run  # noqa: F401

    torch.set_num_threads(1)  # a fork has no other threads than the one that forked
    Figure.savefig = lambda self, stream, **options: None  # type: ignore[method-assign,assignment]


def _before(path: Path | None, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The kills of earlier calls, and these calls."""
    if path is None or not path.exists():
        return [], []
    content = read_json(path)
    if content["seed"] != seed or content["runs"] != COMMANDS:
        raise UserError(f"{path} has kills of other runs or of another --seed; name another --out")
    return content["kills"], content["commands"]


def _write(path: Path, seed: int, calls: list[str], kills: list[dict[str, Any]]) -> None:
    from supernet.runs.machine import versions

    counts = {
        name: {
            "kills": sum(kill["run"] == name for kill in kills),
            "with_faults": sum(kill["run"] == name and bool(kill["faults"]) for kill in kills),
        }
        for name in dict.fromkeys(kill["run"] for kill in kills)
    }
    content = {
        "commands": list(dict.fromkeys(calls)), "seed": seed,
        "versions": versions(), "counts": counts, "runs": COMMANDS, "kills": kills,
    }  # fmt: skip
    write_json(path, content)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "commands", nargs="*", metavar="COMMAND", help=f"{', '.join(COMMANDS)}; all without one."
    )
    parser.add_argument("--kills", type=int, default=20, help="Of each command. Default: 20.")
    parser.add_argument("--seed", type=int, default=0, help="Draws the moments. Default: 0.")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON of all kills.")
    return parser


def _try(name: str, base: Path, kills: int, seed: int, done: int) -> Iterator[dict[str, Any]]:
    """Kill a command so many times, but for those that are done; gives each kill, with what was
    not as it should be."""
    if done >= kills:
        return
    whole, draw = base / f"{name}-whole", random.Random(f"{seed} {name}")
    counts = _run(name, whole)
    device = _device(whole)
    for number in range(kills):
        call = CALLS[number // 4 % len(CALLS)], CHECKPOINT if number % 4 == 1 else ANY
        if not counts.calls[call]:
            call = call[0], ANY
        share, place = draw.random(), draw.randint(1, counts.calls[call])
        if number < done:
            continue
        moment = Moment(None, call, place) if number % 2 else Moment(share * counts.seconds)
        faults = trial(name, base / f"{name}-{number}", whole, moment)
        print(f"{name:<7}killed {moment}: {'; '.join(faults) or 'the same end'}", flush=True)
        yield {"run": name, "device": device, "moment": str(moment), "faults": faults}


def _device(folder: Path) -> str | None:
    """The device that a run took, as its config.json says; None where there is no such file."""
    if not (folder / "config.json").exists():
        return None
    content = read_json(folder / "config.json")
    return str(content.get("machine", content)["device"])


def trial(name: str, folder: Path, whole: Path, moment: Moment) -> list[str]:
    """Kill a run at this moment and let it go on; returns what is not as in `whole`."""
    pid = _fork(_start(name, folder), folder, moment)
    if moment.seconds is not None:
        while (spent := _seconds(pid)) is not None and spent < moment.seconds:
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        if moment.seconds is None or moment.seconds < 0.01:
            return [f"it ended before it was to be killed {moment}"]
        shutil.rmtree(folder, ignore_errors=True)  # it took less than the whole run: earlier
        return trial(name, folder, whole, Moment(0.8 * moment.seconds))
    faults = [f"{path.name} is half-written" for path in folder.glob("*") if not _is_whole(path)]
    _run(name, folder)
    left = [str(path.relative_to(folder)) for path in folder.rglob(".*.tmp")]
    faults += [f"{file} is left" for file in left]
    different = [file for file in RESULTS if _read(folder / file) != _read(whole / file)]
    return faults + [f"{file} differs" for file in different]


def _seconds(pid: int) -> float | None:
    """Processor time of a child; None once it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Counts(NamedTuple):
    """What a whole run takes: processor time, and calls of each kind."""

    seconds: float
    calls: dict[tuple[str, str], int]


def _run(name: str, folder: Path) -> Counts:
    """Begin a run, or go on with it, to its end."""
    pid = _fork(_start(name, folder), folder, Moment(None))
    _, status, used = os.wait4(pid, 0)
    log = folder.with_suffix(".log").read_text()
    if status:
        raise RuntimeError(f"{name} ended with {os.waitstatus_to_exitcode(status)}:\n{log}")
    calls = json.loads(folder.with_suffix(".calls").read_text())
    return Counts(
        used.ru_utime + used.ru_stime, {(call, kind): count for call, kind, count in calls}
    )


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
        folder.with_suffix(".calls").write_text(
            json.dumps([[*call, count] for call, count in counts.items()])
        )
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _counted(moment: Moment) -> dict[tuple[str, str], int]:
    """Count the calls of each kind from now on, and die in the one that `moment` names."""
    counts = {(call, kind): 0 for call in CALLS for kind in (ANY, CHECKPOINT)}

    def count(call: str, name: str) -> None:
        for kind in (ANY, CHECKPOINT) if ".pt" in Path(name).name else (ANY,):
            counts[call, kind] += 1
            if ((call, kind), counts[call, kind]) == (moment.call, moment.number):
                os.kill(os.getpid(), signal.SIGKILL)

    class Stream:
        """A file whose writes are counted."""

        def __init__(self, file: Any) -> None:
            self.file, self.name_of_file = file, _name(file.fileno())

        def write(self, data: Any) -> Any:
            count("write", self.name_of_file)
            return self.file.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

    fdopen, replace, fsync = os.fdopen, os.replace, os.fsync

    def counted_replace(source: Any, target: Any) -> None:
        count("replace", str(target))
        replace(source, target)

    def counted_fsync(number: int) -> None:
        count("fsync", _name(number))
        fsync(number)

    os.replace, os.fsync = counted_replace, counted_fsync  # type: ignore[assignment]
    os.fdopen = lambda *a, **k: Stream(fdopen(*a, **k))  # type: ignore[assignment,misc]
    return counts


def _name(number: int) -> str:
    return os.readlink(f"/proc/self/fd/{number}")


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
