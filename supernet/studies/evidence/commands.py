"""The command of a run of the plan, and the process that it starts."""

import os
import subprocess
from pathlib import Path

from supernet.files import open_own
from supernet.invocation import process
from supernet.runs.folder import has_checkpoint
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.plan import Run
from supernet.threads import available_cpus

OUTPUT = "output.txt"
"""What a search said that ran beside others."""


def command_of(run: Run, config: EvidenceConfig) -> list[str]:
    """The call of the search that begins a run, or goes on with it where it was stopped."""
    folder = Path(config.runs) / run.name
    where = [] if config.jobs == 1 else ["--processes", str(_share(config))]
    if config.data_root is not None:
        where += ["--data-root", config.data_root]
    command = [*process("search"), *where]
    if has_checkpoint(folder):
        return [*command, "--resume", str(folder)]
    return [*command, *run.flags, "--seed", str(run.seed), "--out", str(folder)]


def begin(run: Run, config: EvidenceConfig, lock: int) -> "subprocess.Popen[bytes]":
    """Start a run. Beside others it writes to OUTPUT in its folder instead of the terminal."""
    command = command_of(run, config)
    # In a session of its own, or the terminal would tell it of Ctrl-C a second time, which stops
    # it at once.
    if config.jobs == 1:
        return subprocess.Popen(command, start_new_session=True, pass_fds=(lock,))
    folder = Path(config.runs) / run.name
    folder.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(_share(config))}
    output = open_own(folder / OUTPUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        return subprocess.Popen(
            command, start_new_session=True, pass_fds=(lock,), env={**os.environ, **threads},
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    finally:
        os.close(output)


def _share(config: EvidenceConfig) -> int:
    """The CPU cores of one of the jobs."""
    return max(1, available_cpus() // config.jobs)
