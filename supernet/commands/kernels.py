"""Say which kernels run here and why, and build them for the torch that is installed.

    python scripts/kernels.py            what searches will use
    python scripts/kernels.py --build    compile into the user's cache, minutes on two cores

The kernels are optional and make searches faster; they need a C++ compiler, and nvcc for a GPU,
which has kernels in Triton else.
The cache is XDG_CACHE_HOME, else ~/.cache, with one file for each torch and each version of the
sources. In a checkout `make native` builds them in place instead. NO_CUDA=1 leaves CUDA out,
TORCH_CUDA_ARCH_LIST names the GPU architectures, CUDA_HOME says where nvcc is.
"""

import argparse
import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from supernet import cli
from supernet.errors import UserError
from supernet.invocation import ROOT
from supernet.progress import Progress, say_without_terminal
from supernet.runs.lock import locked

BUILD = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from cuda_ext.build import build_file
sys.exit(not build_file(pathlib.Path(sys.argv[2])))
"""
SAID = "cuda_ext: "
"""How the lines begin that are for the user, among those of the compiler."""
SECONDS = 0.5
"""Between two looks at what the compiler has finished."""
ROOM = 2**16
"""Bytes that a disk has left where it is not full."""


def main() -> None:
    """Parse, build, print."""
    arguments = _parser().parse_args()

    # After the flags are known to be good: importing torch takes seconds.
    from cuda_ext.cache import cached_file

    if arguments.build:
        path = cached_file()
        if path is None:
            raise UserError(
                "there is no place for kernels: set XDG_CACHE_HOME to a folder of yours"
            )
        if path.is_file() and not arguments.force:
            print(f"built already: {path} (--force builds it anew)")
        else:
            _build(path)
    print(_state())


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--build", action="store_true", help="Compile, unless that is done.")
    parser.add_argument("--force", action="store_true", help="With --build: compile anew.")
    return parser


def _build(path: Path) -> None:
    """Compile in a process of its own, whose output is kept where it fails."""
    log = path.with_name("build.log")
    with locked(path.parent) as lock, log.open("wb") as stream:
        for left in path.parent.glob(".build-*"):  # by a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        process = subprocess.Popen(
            [sys.executable, "-c", BUILD, str(ROOT), str(path)], stdout=stream, stderr=stream,
            pass_fds=(lock,),
        )  # fmt: skip
        try:
            free = _watch(process, path.parent)
        finally:
            process.wait()  # it has got the Ctrl-C, too, and removes what it has begun
        _say(process.returncode, log, free)
    print(f"built {path}")


def _say(status: int, log: Path, free: int) -> None:
    """Pass on what the compiler's process has to say; a disk that had no more than so many bytes
    left was too small, which a log on it may have had no room to say."""
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in said:
        if line.startswith(SAID):
            print(line.removeprefix(SAID), file=sys.stderr)
    full = os.strerror(errno.ENOSPC)
    if status and (free < ROOM or any(full in line for line in said)):
        raise UserError(f"{log.parent}: {full}; make room, and give the same command again")
    if status:
        raise UserError(
            f"the kernels did not build, {log} has all that the compiler said; searches run "
            "without them, slower"
        )
    log.unlink()


def _watch(process: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Count the compiled files while the compiler works; the least bytes that were free then."""
    free = shutil.disk_usage(folder).free
    say_without_terminal("compiling, which takes minutes")
    with Progress("compiling", None, "file") as bar:
        while process.poll() is None:
            time.sleep(SECONDS)
            free = min(free, shutil.disk_usage(folder).free)
            bar.update(len(list(folder.glob(".build-*/temp/**/*.o"))) - bar.n)
            bar.refresh()  # the clock of the bar goes on
    return free


def _state() -> str:
    import torch

    from cuda_ext import _native
    from ops.mixed import why_impl

    on_gpu = torch.cuda.is_available() and why_impl("auto", "cuda")  # which tries them there
    lines = [f"on CPUs searches run in plain PyTorch: {_native.why_unavailable()}"]
    if _native.available():
        devices = " and ".join(_native.compiled_for())
        lines = [f"searches run the compiled kernels on {devices}: {_native.file()}"]
    if on_gpu and "cuda" not in _native.compiled_for():
        lines.append(f"on this machine's GPU they run {on_gpu}")
    return "\n".join(lines)
